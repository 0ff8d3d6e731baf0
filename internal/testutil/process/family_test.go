package process_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/process"
)

// parentRole makes the test binary a parent that prints its child's id and waits.
const parentRole = "ROOMCAST_TEST_PARENT"

// startFamily starts a process that has a child of its own, and returns that
// child's id.
func startFamily(t *testing.T) (parent *process.Process, child int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestParent$")
	cmd.Env = append(os.Environ(), parentRole+"=1")
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout = input
	parent, err = process.Start(cmd)
	_ = input.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(parent.Kill)
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %v", err, parent.Err())
	}
	child, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return parent, child
}

// TestParent is the program of the parent; it tests nothing.
func TestParent(t *testing.T) {
	if os.Getenv(parentRole) == "" {
		t.Skip("a role of another test")
	}
	p, err := process.Start(exec.Command("sleep", "60"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(p.PID())
	<-p.Ended()
}

// running says whether the process is neither gone nor a zombie that nobody has
// waited for yet.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
