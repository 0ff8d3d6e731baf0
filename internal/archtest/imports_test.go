package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// goPackage is the part of `go list -json` that the rules look at.
type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

// path is the package's path inside the module.
func (p goPackage) path() string { return strings.TrimPrefix(p.ImportPath, module) }

var listPackages = sync.OnceValues(func() ([]goPackage, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Deps,Standard", module+"...")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
})

func packagesOf(t *testing.T) []goPackage {
	t.Helper()
	packages, err := listPackages()
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func TestImports_EveryPackageHasItsPlace(t *testing.T) {
	for _, p := range packagesOf(t) {
		if _, ok := places[p.path()]; !ok && !under(p.path(), free) {
			t.Errorf("%s stands in no layer: give it one in layers_test.go", p.path())
		}
	}
}

func TestImports_NoPlaceIsEmptyAndNoPermissionUnused(t *testing.T) {
	imports := map[string][]string{}
	for _, p := range packagesOf(t) {
		imports[p.path()] = p.Imports
	}
	for path, at := range places {
		used, exists := imports[path]
		if !exists {
			t.Errorf("layers_test.go has a place for %s, which is no package", path)
			continue
		}
		for allowed := range at.external {
			if !slices.ContainsFunc(used, func(imported string) bool { return within(imported, allowed) }) {
				t.Errorf("%s may import %s and does not: take the permission away", path, allowed)
			}
		}
	}
}

func TestImports_GoOneWay(t *testing.T) {
	for _, p := range packagesOf(t) {
		for _, finding := range wrongImports(p) {
			t.Error(finding)
		}
	}
}

// wrongImports says which imports of p its place does not allow.
func wrongImports(p goPackage) []string {
	at, ok := places[p.path()]
	if !ok {
		return nil
	}
	var findings []string
	for _, imported := range p.Imports {
		if why := forbidden(at, imported); why != "" {
			findings = append(findings, fmt.Sprintf("%s must not import %s: %s", p.path(), imported, why))
		}
		if imported == "testing" && !under(p.path(), mayImportTesting) {
			findings = append(findings, fmt.Sprintf("%s must not import testing: %s", p.path(), neverBelow["testing"]))
		}
	}
	return findings
}

// forbidden gives the reason why a package at that place may not import another,
// or "".
func forbidden(at place, imported string) string {
	own, isOurs := strings.CutPrefix(imported, module)
	switch {
	case isOurs && under(own, free):
		return "only tests use test equipment"
	case isOurs:
		if to, ok := places[own]; ok && to.layer.number >= at.layer.number {
			return at.layer.reason
		}
	case strings.Contains(strings.SplitN(imported, "/", 2)[0], "."):
		for allowed := range at.external {
			if within(imported, allowed) {
				return ""
			}
		}
		return "that module is not among those the package is about; name it in layers_test.go with its reason"
	}
	return ""
}

func TestImports_ServerCarriesNothingItsUserDidNotChoose(t *testing.T) {
	for _, p := range packagesOf(t) {
		if p.path() != "pkg/server" {
			continue
		}
		for _, finding := range wrongDeps(p) {
			t.Error(finding)
		}
	}
}

func wrongDeps(p goPackage) []string {
	var findings []string
	for _, dep := range p.Deps {
		for never, reason := range neverBelow {
			if within(dep, never) {
				findings = append(findings, fmt.Sprintf("%s must not depend on %s: %s", p.path(), dep, reason))
			}
		}
	}
	slices.Sort(findings)
	return findings
}

func TestImports_RulesCatchWhatTheyForbid(t *testing.T) {
	tests := map[string]struct {
		p    goPackage
		want string
	}{
		"an adapter imports the server":   {goPackage{ImportPath: module + "pkg/adapter/redis", Imports: []string{module + "pkg/server"}}, "replaced"},
		"a leaf imports a leaf":           {goPackage{ImportPath: module + "internal/engine", Imports: []string{module + "pkg/packet"}}, "alone"},
		"the server imports Redis":        {goPackage{ImportPath: module + "pkg/server", Imports: []string{modRedis}}, "not among those"},
		"a leaf imports part of a module": {goPackage{ImportPath: module + "internal/room", Imports: []string{modJSON + "/jsontext"}}, "not among those"},
		"code imports test equipment":     {goPackage{ImportPath: module + "cmd/node", Imports: []string{module + "internal/testutil/tcpproxy"}}, "only tests"},
		"code imports testing":            {goPackage{ImportPath: module + "pkg/packet", Imports: []string{"testing"}}, "flags"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := wrongImports(tt.p)
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("got %q, want one finding with %q", got, tt.want)
			}
		})
	}
	deps := wrongDeps(goPackage{ImportPath: module + "pkg/server", Deps: []string{"net/http", "testing", modRedis + "/internal/pool"}})
	if len(deps) != 2 {
		t.Errorf("got %q, want a finding each for testing and for the Redis client", deps)
	}
}

func TestImports_RulesAllowWhatTheyShould(t *testing.T) {
	for _, p := range []goPackage{
		{ImportPath: module + "pkg/adapter/redis", Imports: []string{"context", module + "pkg/adapter", module + "internal/msgpack", modRedis}},
		{ImportPath: module + "pkg/packet", Imports: []string{"encoding/base64", modJSON + "/jsontext"}},
		{ImportPath: module + "test/integration", Imports: []string{"testing", module + "pkg/server", "example.com/anything"}},
	} {
		if got := wrongImports(p); len(got) != 0 {
			t.Errorf("got %q, want nothing", got)
		}
	}
}

// within says whether an import path is a package, or lies below it.
func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, strings.TrimSuffix(parent, "/")+"/")
}

// under says whether a path inside the module is a key of a list, or lies below one.
func under(path string, list map[string]string) bool {
	for parent := range list {
		if within(path, parent) {
			return true
		}
	}
	return false
}
