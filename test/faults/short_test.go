//go:build integration

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The short run, as CI can afford it: each row and adapter is a test. The program
// is built without the race detector, whose weight would be measured too.
func TestFaults_ShortRunKeepsWhatIsPromised(t *testing.T) {
	program := filepath.Join(t.TempDir(), "faults")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	command := exec.CommandContext(t.Context(), program, "--short")
	var errors bytes.Buffer
	command.Stderr = &errors
	output, err := command.Output()
	lines := 0
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		lines++
		t.Run(fields[0]+"_"+fields[1], func(t *testing.T) {
			t.Log(strings.TrimSpace(line))
			if fields[2] == "FAIL" {
				t.Fail()
			}
		})
	}
	if err != nil || lines == 0 {
		t.Errorf("%d lines, %v\n%s", lines, err, &errors)
	}
}
