package house

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// TestKeysAreTheirOwners: of the keys that services show each other each is given its own and no other, and what tells
// them apart the identity service alone.
func TestKeysAreTheirOwners(t *testing.T) {
	all := maps.Clone(served)
	all["gateway"] = "8080"
	given := func(where, name string, secrets []string) {
		t.Helper()
		for _, s := range secrets {
			owner, isKey := strings.CutSuffix(s, "-api-key")
			if isKey && owner != name || name != "identity" && (s == "first-keys" || s == "cookie-key") {
				t.Errorf("%s: %s is given %s", where, name, s)
			}
		}
		if _, ours := all[name]; ours && !slices.Contains(secrets, name+"-api-key") {
			t.Errorf("%s: %s has no key of its own", where, name)
		}
	}
	for name, s := range dict(readYAML(t, deployed(t, "deploy/compose.yaml"))[0], "services") {
		of := strings.TrimRight(name, "-12")
		given("compose.yaml", of, list(s, "secrets"))
		key := at(s, "environment", "TIFFIN_API_KEY_FILE")
		if _, ours := all[of]; ours != (key != nil) || ours && key != "/run/secrets/"+of+"-api-key" {
			t.Errorf("compose.yaml: %s shows %v", name, key)
		}
		for _, v := range list(s, "volumes") {
			if strings.Contains(v, "signing-keys") && (of != "identity" || !strings.HasSuffix(v, ":ro")) {
				t.Errorf("compose.yaml: %s is given %s", name, v)
			}
		}
	}
	for name := range all {
		var own []string
		d := readYAML(t, deployed(t, "deploy/k8s/base/"+name+".yaml"))[0]
		volumes, _ := at(d, "spec", "template", "spec", "volumes").([]any)
		for _, v := range volumes {
			items, _ := at(v, "secret", "items").([]any)
			for _, item := range items {
				own = append(own, fmt.Sprint(at(item, "key")))
			}
			if secret := at(v, "secret", "secretName"); secret == "tiffin-own" && len(items) == 0 ||
				secret == "tiffin-signing-keys" && (name != "identity" || at(v, "secret", "defaultMode") != "0440") {
				t.Errorf("k8s: %s is given all of %v, or for everybody to read", name, secret)
			}
		}
		given("k8s", name, own)
	}
}

// TestSecretsAreMade: what deploy/secrets/make makes is what the program takes, and a second time nothing changes.
func TestSecretsAreMade(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not here")
	}
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(path.Join(root, "deploy/secrets/*.example"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	for _, from := range append(names, path.Join(root, "deploy/secrets/make")) {
		if err := os.WriteFile(filepath.Join(dir, path.Base(from)), []byte(read(from)+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	made := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(filepath.Join(dir, "make"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("make: %v\n%s", err, out)
		}
		return string(out)
	}
	made()
	before := read(filepath.Join(dir, "order-api-key"))
	if out := made(); out != "" {
		t.Errorf("again: %s", out)
	}
	made("order-api-key")
	made("signing-keys")
	if after := read(filepath.Join(dir, "order-api-key")); after == before {
		t.Error("the key was not changed")
	}
	found := 0
	for line := range strings.Lines(read(filepath.Join(dir, "first-keys"))) {
		fields := strings.Fields(line)
		if fields[0] == "#" {
			continue
		}
		found++
		if _, _, err := auth.ParseKey(fields[2]); err != nil || fields[2] != read(filepath.Join(dir, fields[0]+"-api-key")) {
			t.Errorf("the key of %s: %v, or not its file's", fields[0], err)
		}
		for scope := range strings.SplitSeq(fields[1], ",") {
			if err := auth.Scope(scope).Check(); err != nil {
				t.Errorf("%s: %v", fields[0], err)
			}
		}
	}
	if found != len(served)+3 {
		t.Errorf("%d keys for the services, the gateway, an operator and Prometheus", found)
	}
	for _, name := range []string{"0001.pem", "0002.pem"} {
		if info, err := os.Stat(filepath.Join(dir, "signing-keys", name)); err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("the signing key: %v %v", info, err)
		}
	}
}
