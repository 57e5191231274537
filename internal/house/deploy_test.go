package house

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// served are the services that compose.yaml and the manifests of Kubernetes must run, with their ports.
var served = map[string]string{
	"order": "8000", "payment": "8001", "customer": "8002", "delivery": "8003", "kitchen": "8004", "identity": "8005",
}

func deployed(t *testing.T, name string) file {
	t.Helper()
	for _, f := range files(t) {
		if f.name == name {
			return f
		}
	}
	t.Fatalf("%s is not there", name)
	return file{}
}

var (
	pinned     = regexp.MustCompile(`^[a-z./-]+:v?[0-9]+\.[0-9]+(\.[0-9]+)?(-[a-z]+)?$`)
	credential = regexp.MustCompile(`(?i)://[^/@\s]*:[^/@\s]+@|(password|secret|token|key)$`)
)

// TestComposeKeepsTheRules: what every container of compose.yaml is, whoever adds one.
func TestComposeKeepsTheRules(t *testing.T) {
	c := readYAML(t, deployed(t, "deploy/compose.yaml"))[0]
	used := map[string]bool{}
	for name, s := range dict(c, "services") {
		wrong := func(format string, a ...any) { t.Errorf("compose.yaml: %s: "+format, append([]any{name}, a...)...) }
		image, _ := at(s, "image").(string)
		ours := image == "tiffin:${TIFFIN_VERSION:-dev}"
		if !ours && !pinned.MatchString(image) {
			wrong("the image %s is not pinned to a version", image)
		}
		if at(s, "restart") != "unless-stopped" || !slices.Equal(list(s, "cap_drop"), []string{"ALL"}) ||
			!slices.Contains(list(s, "security_opt"), "no-new-privileges:true") || at(s, "deploy", "resources", "limits", "memory") == nil ||
			at(s, "logging", "options", "max-size") == nil {
			wrong("restart, cap_drop, security_opt, logging or a limit of memory is missing")
		}
		if at(s, "healthcheck", "test") == nil && name != "jaeger" {
			wrong("no health check")
		}
		for _, p := range list(s, "ports") {
			if !strings.HasPrefix(p, "127.0.0.1:") && name != "gateway" {
				wrong("the port %s is open to the network", p)
			}
			if ours && name != "gateway" {
				wrong("only the gateway is published")
			}
		}
		for _, v := range list(s, "volumes") {
			from, _, _ := strings.Cut(v, ":")
			if from, ok := strings.CutPrefix(from, "./"); ok {
				if secret, ok := strings.CutPrefix(from, "secrets/"); ok { // a folder of them, which is made
					from = "secrets/" + secret + ".example"
				}
				if _, err := os.Stat(path.Join(root, "deploy", from)); err != nil {
					wrong("the volume %s: %v", v, err)
				}
			} else if _, ok := dict(c, "volumes")[from]; !ok {
				wrong("the volume %s is not declared", from)
			}
		}
		secrets := map[string]bool{}
		l, _ := at(s, "secrets").([]any)
		for _, x := range l {
			source, ok := x.(string)
			if !ok {
				source = fmt.Sprint(at(x, "source"))
			}
			secrets[source], used[source] = true, true
		}
		for key, value := range dict(s, "environment") {
			value := fmt.Sprint(value)
			if from, ok := strings.CutPrefix(value, "/run/secrets/"); ok {
				if !secrets[from] {
					wrong("%s reads %s, which it is not given", key, value)
				}
			} else if credential.MatchString(key) || credential.MatchString(value) {
				wrong("%s holds a secret", key)
			}
		}
		if ours && (at(s, "read_only") != "true" || at(s, "init") != "true" || at(s, "stop_grace_period") == nil || list(s, "command")[0] != "serve") {
			wrong("read_only, init, stop_grace_period or serve is missing")
		}
	}
	for name, port := range served {
		for _, instance := range []string{name + "-1", name + "-2"} {
			s := at(c, "services", instance)
			if !slices.Equal(list(s, "command"), []string{"serve", name}) || !slices.Contains(list(s, "networks", "default", "aliases"), name) ||
				at(s, "environment", "TIFFIN_URL") != "http://127.0.0.1:"+port {
				t.Errorf("compose.yaml: %s does not serve %s on %s", instance, name, port)
			}
		}
	}
	for name := range dict(c, "secrets") {
		if at(c, "secrets", name, "file") != "./secrets/"+name || !used[name] {
			t.Errorf("compose.yaml: the secret %s is not of its file, or nobody's", name)
		}
		delete(used, name)
		if _, err := os.Stat(path.Join(root, "deploy/secrets", name+".example")); err != nil {
			t.Errorf("compose.yaml: the secret %s cannot be made: %v", name, err)
		}
	}
	for name := range used {
		t.Errorf("compose.yaml: the secret %s is not declared", name)
	}
}

// TestPrometheusScrapesWhatRuns: a target is a name of the compose network, or Prometheus itself; and every service is
// scraped.
func TestPrometheusScrapesWhatRuns(t *testing.T) {
	running := dict(readYAML(t, deployed(t, "deploy/compose.yaml"))[0], "services")
	jobs, _ := at(readYAML(t, deployed(t, "deploy/prometheus/prometheus.yml"))[0], "scrape_configs").([]any)
	missing := maps.Clone(served)
	missing["gateway"] = "8080"
	for _, j := range jobs {
		for _, name := range list(j, "dns_sd_configs", 0, "names") {
			if port := at(j, "dns_sd_configs", 0, "port"); port != missing[name] || at(j, "job_name") != name {
				t.Errorf("prometheus.yml scrapes %s on %v, which is not where it serves", name, port)
			}
			delete(missing, name)
		}
		for _, target := range list(j, "static_configs", 0, "targets") {
			host, _, _ := strings.Cut(target, ":")
			if _, runs := running[host]; !runs && host != "127.0.0.1" {
				t.Errorf("prometheus.yml scrapes %s, which compose.yaml does not run", target)
			}
		}
	}
	for name := range missing {
		t.Errorf("prometheus.yml does not scrape %s", name)
	}
}

// TestNoSecretIsCommitted: of deploy/secrets only what makes them, of an overlay's only examples.
func TestNoSecretIsCommitted(t *testing.T) {
	for _, folder := range []string{"deploy/secrets", "deploy/k8s/overlays/example/secrets"} {
		ignore, err := os.ReadFile(path.Join(root, folder, ".gitignore"))
		if err != nil || !slices.Contains(strings.Split(string(ignore), "\n"), "*") {
			t.Errorf("%s/.gitignore does not leave out everything: %v", folder, err)
		}
		out, err := exec.Command("git", "-C", root, "ls-files", folder).Output()
		if err != nil {
			t.Skipf("git ls-files: %v", err)
		}
		for name := range strings.FieldsSeq(string(out)) {
			if base := path.Base(name); base != ".gitignore" && base != "make" && path.Ext(base) != ".example" {
				t.Errorf("%s is committed", name)
			}
		}
	}
}

var variable = regexp.MustCompile(`\b(TIFFIN_[A-Z_]+)\b`)

// TestSettingsAreFlags: a variable or a line of a settings file that a manifest sets is one that the program reads.
func TestSettingsAreFlags(t *testing.T) {
	cli := string(deployed(t, reference).text)
	known := func(flag string) bool { return regexp.MustCompile(`--` + flag + `\b`).MatchString(cli) }
	units, _ := os.ReadDir(path.Join(root, "deploy/systemd"))
	texts := map[string]string{}
	for _, u := range units {
		b, err := os.ReadFile(path.Join(root, "deploy/systemd", u.Name()))
		if err != nil {
			t.Fatal(err)
		}
		texts[u.Name()] = string(b)
	}
	for _, f := range files(t) {
		if strings.HasPrefix(f.name, "deploy/") {
			texts[f.name] = string(f.text)
		}
	}
	for name, text := range texts {
		for _, m := range variable.FindAllString(text, -1) {
			flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(m, "TIFFIN_"), "_", "-"))
			if m != "TIFFIN_VERSION" && !known(flag) && !known(strings.TrimSuffix(flag, "-file")) {
				t.Errorf("%s sets %s, but there is no --%s", name, m, flag)
			}
		}
	}
	for _, name := range []string{"base", "overlays/example"} {
		for key := range settingsOf(t, name) {
			if !known(key) {
				t.Errorf("%s/config.json sets %s, which is no flag", name, key)
			}
		}
	}
}

func settingsOf(t *testing.T, folder string) (s map[string]any) {
	t.Helper()
	b, err := os.ReadFile(path.Join(root, "deploy/k8s", folder, "config.json"))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestManifestsHoldTogether: every file that a kustomization names is there and every file there is named; whatever
// one object calls by name exists.
func TestManifestsHoldTogether(t *testing.T) {
	const k8s = "deploy/k8s/"
	named := map[string]bool{}
	objects := map[string]map[string]any{} // by folder and kind/name
	scaled := map[string][]string{}        // by folder, what it scales
	for _, f := range files(t) {
		if !strings.HasPrefix(f.name, k8s) || path.Base(f.name) != "kustomization.yaml" {
			continue
		}
		named[f.name] = true
		k := readYAML(t, f)[0]
		of := append(list(k, "resources"), append(list(k, "components"), list(k, "configurations")...)...)
		for _, section := range []string{"patches", "configMapGenerator", "secretGenerator"} {
			entries, _ := at(k, section).([]any)
			for _, e := range entries {
				of = append(of, list(e, "files")...)
				if p, ok := at(e, "path").(string); ok {
					of = append(of, p)
				}
			}
		}
		for _, name := range of {
			name = path.Join(f.folder(), name)
			named[name] = true
			if _, err := os.Stat(path.Join(root, name)); err != nil {
				if _, err := os.Stat(path.Join(root, name+".example")); err != nil {
					t.Errorf("%s names %s, which is not there", f.name, name)
				}
			}
		}
		if c := strings.Join(list(k, "components"), " "); strings.Contains(c, "/hpa") && strings.Contains(c, "/keda") {
			t.Errorf("%s has two scalers for one deployment", f.name)
		}
	}
	for _, f := range files(t) {
		if !strings.HasPrefix(f.name, k8s) || path.Ext(f.name) != ".yaml" {
			continue
		}
		if !named[f.name] {
			t.Errorf("%s is named by no kustomization", f.name)
		}
		folder := path.Base(f.folder())
		for _, o := range readYAML(t, f) {
			id := fmt.Sprint(at(o, "kind"), "/", at(o, "metadata", "name"))
			if objects[folder] == nil {
				objects[folder] = map[string]any{}
			}
			objects[folder][id] = o
			if target, ok := at(o, "spec", "scaleTargetRef", "name").(string); ok {
				scaled[folder] = append(scaled[folder], target)
			}
		}
	}
	base := objects["base"]
	every := maps.Clone(served)
	every["gateway"] = "8080"
	for name, port := range every {
		d, s, b := base["Deployment/"+name], base["Service/"+name], base["PodDisruptionBudget/"+name]
		if d == nil || s == nil || b == nil {
			t.Errorf("%s lacks a Deployment, a Service or a PodDisruptionBudget", name)
			continue
		}
		const label = "app.kubernetes.io/name"
		container := at(d, "spec", "template", "spec", "containers", 0)
		if !slices.Equal(list(container, "args"), []string{"serve", name}) || at(container, "ports", 0, "containerPort") != port ||
			at(s, "spec", "ports", 0, "port") != port || at(container, "ports", 0, "name") != at(s, "spec", "ports", 0, "targetPort") {
			t.Errorf("%s does not serve on %s everywhere", name, port)
		}
		if at(d, "spec", "replicas") != "2" {
			t.Errorf("%s has not two instances", name)
		}
		spread, _ := at(d, "spec", "template", "spec", "topologySpreadConstraints").([]any)
		labels := []any{
			at(d, "spec", "selector", "matchLabels", label), at(d, "spec", "template", "metadata", "labels", label),
			at(s, "spec", "selector", label), at(b, "spec", "selector", "matchLabels", label),
		}
		for _, c := range spread {
			labels = append(labels, at(c, "labelSelector", "matchLabels", label))
		}
		for _, l := range labels {
			if l != name {
				t.Errorf("%s is selected as %v", name, l)
			}
		}
	}
	for _, folder := range []string{"hpa", "keda"} {
		slices.Sort(scaled[folder])
		if !slices.Equal(scaled[folder], []string{"gateway", "order", "payment"}) {
			t.Errorf("components/%s scales %v", folder, scaled[folder])
		}
	}
	for _, folder := range []string{"base", "overlays/example"} {
		for _, instance := range list(settingsOf(t, folder), "instance") {
			_, url, _ := strings.Cut(instance, "=http://")
			host, port, _ := strings.Cut(url, ":")
			s := base["Service/"+host]
			if s == nil {
				s = objects["partners"]["Service/"+host]
			}
			if at(s, "spec", "ports", 0, "port") != port {
				t.Errorf("%s/config.json finds %s, where no Service is", folder, instance)
			}
		}
	}
}

// TestKustomizeBuilds: the example, with its secrets as the examples are, is what kustomize takes.
func TestKustomizeBuilds(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("kubectl is not here; TestManifestsHoldTogether looks at the references")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(path.Join(root, "deploy/k8s"))); err != nil {
		t.Fatal(err)
	}
	example := path.Join(dir, "overlays/example")
	secrets, err := os.ReadDir(path.Join(example, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets {
		if name, ok := strings.CutSuffix(s.Name(), ".example"); ok {
			if err := os.WriteFile(path.Join(example, "secrets", name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, err := exec.Command("kubectl", "kustomize", example).CombinedOutput(); err != nil {
		t.Errorf("kubectl kustomize: %v\n%s", err, out)
	}
}

// TestComposeIsValid: what Compose itself says.
func TestComposeIsValid(t *testing.T) {
	if err := exec.Command("docker", "compose", "version").Run(); err != nil {
		t.Skip("docker compose is not here; TestComposeKeepsTheRules looks at our rules only")
	}
	if out, err := exec.Command("docker", "compose", "--file", path.Join(root, "deploy/compose.yaml"), "config", "--quiet").CombinedOutput(); err != nil {
		t.Errorf("docker compose config: %v\n%s", err, out)
	}
}
