package main

import (
	"bufio"
	"strings"
	"testing"
)

func run(t *testing.T, events string) (*report, string) {
	t.Helper()
	var text strings.Builder
	out := bufio.NewWriter(&text)
	r := newReport(out)
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.finish()
	out.Flush()
	return r, text.String()
}

func TestReport_TotalsAreTheLastLine(t *testing.T) {
	r, text := run(t, `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB/sub"}
{"Action":"output","Package":"p","Test":"TestC","Output":"=== RUN   TestC\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:3: needs a moon\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"pass","Package":"p","Elapsed":1.5}
`)
	if !r.ok() {
		t.Error("a run without a failure is not ok")
	}
	if !strings.HasSuffix(text, "\n2 passed, 0 failed, 1 skipped\n") {
		t.Errorf("the totals are not the last line:\n%s", text)
	}
	if !strings.Contains(text, "skipped p TestC: c_test.go:3: needs a moon\n") {
		t.Errorf("the skipped test is not listed with its reason:\n%s", text)
	}
	if strings.Contains(text, "RUN") {
		t.Errorf("output of a test that did not fail is shown:\n%s", text)
	}
}

func TestReport_FailuresShowTheirOutput(t *testing.T) {
	r, text := run(t, `{"Action":"output","Package":"p","Test":"TestA","Output":"a_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`)
	if r.ok() {
		t.Error("a run with a failure is ok")
	}
	if !strings.Contains(text, "FAIL p TestA\na_test.go:9: got 1, want 2\n") {
		t.Errorf("the failure's output is missing:\n%s", text)
	}
	if !strings.HasSuffix(text, "\n0 passed, 1 failed, 0 skipped\n") {
		t.Errorf("wrong totals:\n%s", text)
	}
}

func TestReport_PackageFailingOutsideItsTestsCounts(t *testing.T) {
	tests := map[string]struct{ events, shown string }{
		"build": {`{"ImportPath":"p","Action":"build-output","Output":"p/a.go:1: syntax error\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p"}`, "syntax error"},
		"leak after the last test": {`{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"found unexpected goroutines\n"}
{"Action":"fail","Package":"p"}`, "unexpected goroutines"},
		"panic": {`{"Action":"output","Package":"p","Test":"TestA","Output":"panic: out of range\n"}
{"Action":"fail","Package":"p"}`, "out of range"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, text := run(t, tt.events)
			if r.ok() {
				t.Error("the run is ok")
			}
			if !strings.Contains(text, tt.shown) || !strings.Contains(text, "1 failed") {
				t.Errorf("want %q and 1 failed in:\n%s", tt.shown, text)
			}
		})
	}
}

func TestReport_NothingRunIsNotOK(t *testing.T) {
	if r, _ := run(t, "go: no such tool\n"); r.ok() {
		t.Error("a run without a test is ok")
	}
}

func TestReport_PackageThatRunsTwiceIsCountedAnew(t *testing.T) {
	r, text := run(t, `{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":0.1}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"goroutine leak\n"}
{"Action":"fail","Package":"p","Elapsed":0.2}
`)
	if !strings.Contains(text, "fail p 0.2s, 1 tests\n") {
		t.Errorf("the second run has the first one's tests:\n%s", text)
	}
	if r.ok() || !strings.HasSuffix(text, "failed outside its tests: p\n1 passed, 2 failed, 0 skipped\n") {
		t.Errorf("the second run's failure outside its tests is hidden:\n%s", text)
	}
}
