//go:build integration

package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What docs/load-balancers.md shows is what the tests run, to the letter.
func TestDocs_ShowTheFilesThatAreTested(t *testing.T) {
	doc := read(t, filepath.Join("..", "..", "docs", "load-balancers.md"))
	for language, files := range map[string][]string{
		"nginx":   {"roomcast.conf", "tls.conf", "nginx.conf"},
		"haproxy": {"haproxy.cfg", "tls.cfg"},
	} {
		for _, file := range files {
			if want := "```" + language + "\n" + shipped(t, language, file) + "```\n"; !strings.Contains(doc, want) {
				t.Errorf("docs/load-balancers.md does not show deploy/%s/%s as it is", language, file)
			}
		}
	}
}

// setting is a variable of the node's, where it is set.
var setting = regexp.MustCompile(`(?m)^\s*(?:ENV )?ROOMCAST_([A-Z_]+)[=:]`)

// What Dockerfile, docker-compose.yml and its files set is a flag of the node.
func TestDocs_SetFlagsThatExist(t *testing.T) {
	help := read(t, filepath.Join("..", "..", "cmd", "node", "testdata", "help-serve.txt"))
	files, err := filepath.Glob(filepath.Join("..", "..", "deploy", "compose", "*.env"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range append(files, filepath.Join("..", "..", "Dockerfile"), filepath.Join("..", "..", "docker-compose.yml")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range setting.FindAllStringSubmatch(string(text), -1) {
			found++
			if flag := "--" + strings.ToLower(strings.ReplaceAll(match[1], "_", "-")); !strings.Contains(help, flag) {
				t.Errorf("%s sets ROOMCAST_%s: there is no flag %s", file, match[1], flag)
			}
		}
	}
	if found < 8 {
		t.Errorf("found %d settings: the pattern misses some", found)
	}
}
