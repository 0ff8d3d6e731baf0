package archtest

import (
	"go/ast"
	"strings"
	"testing"
)

// rule finds what a file must not contain.
type rule struct {
	name   string
	reason string
	// concerns says whether the rule holds in a file.
	concerns func(source) bool
	// find returns the offending nodes of one top-level declaration.
	find func(ast.Decl) []ast.Node
	// except lists "path function" pairs that may, each with its reason.
	except map[string]string
}

var rules = []rule{
	{
		name:     "no sleeping",
		reason:   "a sleep cannot be cancelled, and a test that sleeps is slow or flaky: wait for the event, or use testing/synctest",
		concerns: func(source) bool { return true },
		find:     sleeps,
		except: map[string]string{
			"internal/cluster/stress_test.go pass": "called in a bubble, where it lets time go by",
			"pkg/server/timeout_test.go pass":      "called in a bubble, where it lets time go by",
		},
	},
	{
		name:     "no naked go",
		reason:   "every goroutine has an owner that waits for it: use sync.WaitGroup.Go",
		concerns: isLibraryCode,
		find:     nakedGos,
		except: map[string]string{
			"pkg/server/tasks.go tasks.Go": "it is the wait group of the server, one that can be waited for with a context",
		},
	},
	{
		name:     "no background context",
		reason:   "a call without its caller's context cannot be given up; the root of a server's own life is an exception with a name",
		concerns: isLibraryCode,
		find:     backgroundContexts,
		except: map[string]string{
			"pkg/server/server.go New":                               "root of a server's life",
			"pkg/adapter/redis/internal/stream/log.go Open":          "root of a log's life, which outlives the Join that comes first",
			"pkg/adapter/redis/internal/bus/bus.go Start":            "root of a connection's life, which outlives the Join that comes first",
			"pkg/adapter/redis/internal/bus/health.go Health.Drop":   "a log line; nothing waits",
			"pkg/adapter/redis/internal/bus/outgoing.go newOutgoing": "the client's command wants one and never uses it",
		},
	},
}

func isLibraryCode(s source) bool {
	return !s.isTest() && (strings.HasPrefix(s.path, "pkg/") || strings.HasPrefix(s.path, "internal/"))
}

func TestSource_KeepsTheRules(t *testing.T) {
	for _, r := range rules {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			used := map[string]bool{}
			for _, s := range sourcesOf(t) {
				for _, finding := range r.findings(s, used) {
					t.Error(finding)
				}
			}
			for at := range r.except {
				if !used[at] {
					t.Errorf("the exception %q is not needed: remove it", at)
				}
			}
		})
	}
}

// findings says where s breaks the rule, and notes in used which exceptions applied.
func (r rule) findings(s source, used map[string]bool) []string {
	if !r.concerns(s) {
		return nil
	}
	var found []string
	for _, d := range s.file.Decls {
		nodes := r.find(d)
		at := s.path + " " + declName(d)
		if _, ok := r.except[at]; ok && len(nodes) > 0 {
			used[at] = true
			continue
		}
		for _, n := range nodes {
			found = append(found, s.line(n)+": "+r.name+": "+r.reason)
		}
	}
	return found
}

// declName is a function's name, with its receiver's type before a dot.
func declName(d ast.Decl) string {
	f, ok := d.(*ast.FuncDecl)
	if !ok {
		return "declaration"
	}
	if name := receiver(f); name != "" {
		return name + "." + f.Name.Name
	}
	return f.Name.Name
}

// receiver is the name of a method's type, or "".
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// sleeps finds time.Sleep where time is real: outside the function given to
// synctest.Test, or to a helper that is named after the bubble that it makes.
func sleeps(d ast.Decl) []ast.Node {
	return find(d, func(n ast.Node) (bool, bool) {
		return isCall(n, "time", "Sleep"), !isCall(n, "synctest", "Test") && !isBubble(n)
	})
}

func isBubble(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	return ok && strings.Contains(id.Name, "Bubble")
}

func nakedGos(d ast.Decl) []ast.Node {
	return find(d, func(n ast.Node) (bool, bool) {
		_, ok := n.(*ast.GoStmt)
		return ok, true
	})
}

func backgroundContexts(d ast.Decl) []ast.Node {
	return find(d, func(n ast.Node) (bool, bool) {
		return isCall(n, "context", "Background") || isCall(n, "context", "TO"+"DO"), true
	})
}

// find returns the nodes that match, and does not look into those that it is
// told not to enter.
func find(d ast.Decl, look func(ast.Node) (match, enter bool)) []ast.Node {
	var found []ast.Node
	ast.Inspect(d, func(n ast.Node) bool {
		if n == nil {
			return false
		}
		match, enter := look(n)
		if match {
			found = append(found, n)
		}
		return enter
	})
	return found
}

func TestSource_RulesCatchWhatTheyForbid(t *testing.T) {
	tests := map[string]struct {
		path, body string
		want       int
	}{
		"sleep in a test":            {"pkg/a/a_test.go", `time.Sleep(1)`, 1},
		"sleep in code":              {"pkg/a/a.go", `time.Sleep(1)`, 1},
		"sleep in a bubble":          {"pkg/a/a_test.go", `synctest.Test(t, func(t *testing.T) { time.Sleep(1) })`, 0},
		"sleep in a helper's bubble": {"pkg/a/a_test.go", `inBubble(t, func() { time.Sleep(1) })`, 0},
		"sleep beside a bubble":      {"pkg/a/a_test.go", `synctest.Test(t, f); time.Sleep(1)`, 1},
		"naked go":                   {"internal/a/a.go", `go f()`, 1},
		"naked go in a closure":      {"internal/a/a.go", `f(func() { go g() })`, 1},
		"go in a test":               {"internal/a/a_test.go", `go f()`, 0},
		"go in a wait group":         {"internal/a/a.go", `wg.Go(f)`, 0},
		"background context":         {"pkg/a/a.go", `f(context.Background())`, 1},
		"background context in main": {"cmd/node/main.go", `f(context.Background())`, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := parse(tt.path, "package a\nfunc f() {\n"+tt.body+"\n}\n")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rules {
				got = append(got, r.findings(s, map[string]bool{})...)
			}
			if len(got) != tt.want {
				t.Errorf("got %d findings %q, want %d", len(got), got, tt.want)
			}
		})
	}
}
