package metrics_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"
)

// root is the project's, seen from this package.
const root = "../.."

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// labelsOf returns the names of a metric's labels, sorted.
func labelsOf(f *dto.MetricFamily) (names []string) {
	for _, l := range f.GetMetric()[0].GetLabel() {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return names
}

var row = regexp.MustCompile("(?m)^\\| `(sio_[a-z_]+)` \\| (gauge|counter|histogram) \\|([a-z, ]*)\\| .+ \\|$")

func TestOperations_ListTheMetricsThatThereAre(t *testing.T) {
	all := gather(t, busy(t))
	documented := make(map[string]bool)
	for _, m := range row.FindAllStringSubmatch(string(read(t, "docs/operations.md")), -1) {
		name, kind, list := m[1], m[2], strings.ReplaceAll(m[3], " ", "")
		documented[name] = true
		f := all[name]
		if f == nil {
			t.Errorf("%s is documented and does not exist", name)
			continue
		}
		var labels []string
		if list != "" {
			labels = strings.Split(list, ",")
		}
		slices.Sort(labels)
		if got := strings.ToLower(f.GetType().String()); got != kind || !slices.Equal(labelsOf(f), labels) {
			t.Errorf("%s is a %s with labels %v, documented as a %s with %v", name, got, labelsOf(f), kind, labels)
		}
	}
	for name := range all {
		if !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
}

var (
	name     = regexp.MustCompile(`\bsio_[a-z_]+\b`)
	selector = regexp.MustCompile(`\{([^{}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`\bby \(([^()]*)\)`)
)

// wrong says what of an expression does not exist. Prometheus itself adds instance and le.
func wrong(expression string, all map[string]*dto.MetricFamily) (problems []string) {
	used := name.FindAllString(expression, -1)
	if len(used) == 0 {
		problems = append(problems, "names no metric")
	}
	known := []string{"instance"}
	for _, metric := range used {
		f := all[metric]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base, cut := strings.CutSuffix(metric, suffix)
			if h := all[base]; cut && h.GetType() == dto.MetricType_HISTOGRAM {
				f = h
				known = append(known, "le")
			}
		}
		if f == nil {
			problems = append(problems, "there is no metric "+metric)
			continue
		}
		known = append(known, labelsOf(f)...)
	}
	for _, label := range labelsIn(expression) {
		if !slices.Contains(known, label) {
			problems = append(problems, "there is no label "+label)
		}
	}
	if strings.Count(expression, "(") != strings.Count(expression, ")") {
		problems = append(problems, "parentheses are not balanced")
	}
	return problems
}

// labelsIn returns the labels that an expression selects and groups by.
func labelsIn(expression string) (labels []string) {
	for _, s := range selector.FindAllStringSubmatch(expression, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[1], -1) {
			labels = append(labels, m[1])
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expression, -1) {
		labels = append(labels, strings.Split(strings.ReplaceAll(g[1], " ", ""), ",")...)
	}
	return labels
}

// check fails the test for what of an expression does not exist.
func check(t *testing.T, where, expression string, all map[string]*dto.MetricFamily) {
	t.Helper()
	for _, problem := range wrong(expression, all) {
		t.Errorf("%s: %s: %s", where, expression, problem)
	}
}

// Prometheus' own parser is a very large module, so expressions are looked at for names.
func TestAlerts_NameWhatExists(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(read(t, "deploy/prometheus/alerts.yml"), &file); err != nil {
		t.Fatal(err)
	}
	all, advice, rules := gather(t, busy(t)), string(read(t, "docs/operations.md")), 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules++
			check(t, r.Alert, r.Expr, all)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("%s has no severity or no summary", r.Alert)
			}
			if !strings.Contains(advice, "| `"+r.Alert+"` |") {
				t.Errorf("docs/operations.md does not say what to do for %s", r.Alert)
			}
		}
	}
	if rules < 6 {
		t.Errorf("%d rules, want 6 at least", rules)
	}
}

func TestDashboard_NamesWhatExists(t *testing.T) {
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text := read(t, "deploy/grafana/roomcast.json")
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all, ids := gather(t, busy(t)), make(map[int]bool)
	for _, p := range board.Panels {
		if ids[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %q repeats an id or shows nothing", p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			check(t, p.Title, target.Expr, all)
		}
	}
	for metric := range all {
		if !strings.Contains(string(text), metric) {
			t.Errorf("the dashboard does not show %s", metric)
		}
	}
}

func TestWrong_FindsWhatDoesNotExist(t *testing.T) {
	all := gather(t, busy(t))
	for expression, bad := range map[string]bool{
		`sum by (instance) (rate(sio_slow_consumers_total[5m]))`: false,
		`rate(sio_bus_lag_seconds_bucket{le="1"}[5m])`:           false,
		`sio_bus_state{instance=~"a"}`:                           false,
		`sio_unknown`:                                            true,
		`sio_connections_bucket`:                                 true,
		`sum by (room) (sio_rooms)`:                              true,
		`sio_rooms{user="x"}`:                                    true,
		`sum by (le) (sio_rooms)`:                                true,
		`up`:                                                     true,
	} {
		if found := wrong(expression, all); (len(found) > 0) != bad {
			t.Errorf("%s: found %q, want something: %v", expression, found, bad)
		}
	}
}
