package house

import (
	"encoding/json"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/telemetry"
)

// metric is a metric of ours, of Go's or of the process, as PromQL and prose name it.
var metric = regexp.MustCompile(`\b(?:tiffin|go|process)_[a-z0-9_]+\b`)

// metrics are those that the program has.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	tel, err := telemetry.Open(telemetry.Options{Metrics: true})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, name := range tel.Metrics.Names() {
		all[name] = true
	}
	if !all["tiffin_orders_total"] || !all["go_goroutines"] {
		t.Fatalf("the program's metrics are %v", slices.Sorted(maps.Keys(all)))
	}
	return all
}

// has says whether there is such a metric, or such a series of a histogram.
func has(all map[string]bool, name string) bool {
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && all[base] {
			return true
		}
	}
	return false
}

// TestDashboardsAndAlertsNameWhatIsMeasured: an expression over a metric that is not there shows nothing and never fires.
func TestDashboardsAndAlertsNameWhatIsMeasured(t *testing.T) {
	all := metrics(t)
	used := map[string]bool{}
	check := func(where, expression string) {
		for _, name := range metric.FindAllString(expression, -1) {
			used[name] = true
			if !has(all, name) {
				t.Errorf("%s names %s, which the program does not measure", where, name)
			}
		}
	}
	groups, _ := at(readYAML(t, deployed(t, "deploy/prometheus/alerts.yml"))[0], "groups").([]any)
	for _, g := range groups {
		rules, _ := at(g, "rules").([]any)
		for _, r := range rules {
			name, expression := at(r, "alert"), at(r, "expr")
			if name == nil || expression == nil || at(r, "labels", "severity") == nil || at(r, "annotations", "summary") == nil {
				t.Errorf("alerts.yml: %v lacks a name, an expression, a severity or a summary", name)
				continue
			}
			check("the alert "+name.(string), expression.(string))
		}
	}
	panels := 0
	for _, board := range dashboards(t) {
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				panels++
				check("the panel "+p.Title, target.Expr)
				if target.Datasource.UID != "prometheus" {
					t.Errorf("the panel %s asks the data source %q", p.Title, target.Datasource.UID)
				}
			}
		}
	}
	if panels < 10 || len(used) < 15 {
		t.Errorf("%d expressions name %d metrics only", panels, len(used))
	}
}

type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		Targets []struct {
			Expr       string
			Datasource struct{ UID string }
		}
	}
}

func dashboards(t *testing.T) (all []dashboard) {
	t.Helper()
	const folder = "deploy/grafana/dashboards"
	entries, err := os.ReadDir(path.Join(root, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(path.Join(root, folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		seen := map[int]bool{}
		for _, p := range d.Panels {
			if seen[p.ID] {
				t.Errorf("%s: two panels have the id %d", e.Name(), p.ID)
			}
			seen[p.ID] = true
		}
		all = append(all, d)
	}
	return all
}

// TestDocsNameEveryMetric: docs/observing.md lists what is measured, all of it and nothing else.
func TestDocsNameEveryMetric(t *testing.T) {
	all := metrics(t)
	text := string(deployed(t, "docs/observing.md").text)
	for name := range all {
		if strings.HasPrefix(name, "tiffin_") && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/observing.md does not say what %s is", name)
		}
	}
	for _, name := range metric.FindAllString(text, -1) {
		if strings.HasPrefix(name, "tiffin_") && !has(all, name) {
			t.Errorf("docs/observing.md names %s, which the program does not measure", name)
		}
	}
	groups, _ := at(readYAML(t, deployed(t, "deploy/prometheus/alerts.yml"))[0], "groups").([]any)
	for _, g := range groups {
		rules, _ := at(g, "rules").([]any)
		for _, r := range rules {
			if name, _ := at(r, "alert").(string); !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/observing.md does not say what to do about %s", name)
			}
		}
	}
}
