package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"testing"
)

func TestDocs_EveryPackageIsIntroducedOnce(t *testing.T) {
	introductions := map[string][]string{} // by folder, those without any included
	for _, s := range sourcesOf(t) {
		if s.isTest() {
			continue
		}
		dir := path.Dir(s.path)
		files := introductions[dir]
		if s.file.Doc != nil {
			files = append(files, s.path)
		}
		introductions[dir] = files
	}
	for dir, files := range introductions {
		if len(files) != 1 {
			t.Errorf("%s has %d package comments %v, want one: a reader looks for it in one place", dir, len(files), files)
		}
	}
}

func TestDocs_EveryExportedNameIsDocumented(t *testing.T) {
	for _, s := range sourcesOf(t) {
		if s.isTest() {
			continue
		}
		for _, finding := range undocumented(s) {
			t.Error(finding)
		}
	}
}

// undocumented lists the exported names of a file that have no comment: types,
// functions, methods of exported types, constants, variables, fields and the
// methods of interfaces.
func undocumented(s source) []string {
	var found []string
	report := func(n ast.Node, name string) {
		found = append(found, fmt.Sprintf("%s: %s is exported and has no comment", s.line(n), name))
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			ofHidden := d.Recv != nil && !ast.IsExported(receiver(d))
			if d.Name.IsExported() && !ofHidden && d.Doc == nil {
				report(d, declName(d))
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				undocumentedSpec(spec, d.Doc != nil, report)
			}
		}
	}
	slices.Sort(found)
	return found
}

// undocumentedSpec looks at one type, constant or variable; the comment of a
// group speaks for its constants and variables.
func undocumentedSpec(spec ast.Spec, groupDoc bool, report func(ast.Node, string)) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return
		}
		if spec.Doc == nil && !groupDoc {
			report(spec, spec.Name.Name)
		}
		for _, f := range members(spec.Type) {
			for _, name := range f.Names {
				if name.IsExported() && f.Doc == nil && f.Comment == nil {
					report(f, spec.Name.Name+"."+name.Name)
				}
			}
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && spec.Doc == nil && spec.Comment == nil && !groupDoc {
				report(spec, name.Name)
			}
		}
	}
}

// members are a struct's fields or an interface's methods.
func members(t ast.Expr) []*ast.Field {
	switch t := t.(type) {
	case *ast.StructType:
		return t.Fields.List
	case *ast.InterfaceType:
		return t.Methods.List
	}
	return nil
}

func TestDocs_RuleCatchesWhatItForbids(t *testing.T) {
	s, err := parse("pkg/a/a.go", `package a
type A struct { B int }
func C() {}
func (A) D() {}
func (hidden) E() {}
const F = 1
var G int
type I interface { J() }
// K and L have a comment.
const ( K = 1; L = 2 )
// M has one.
type M struct {
	// N has one.
	N int
	o int
}
func p() {}
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := undocumented(s); len(got) != 8 {
		t.Errorf("got %d findings, want 8 (A, A.B, C, A.D, F, G, I, I.J): %q", len(got), got)
	}
}
