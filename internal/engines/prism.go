package engines

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// prismVersion is that of the npm package @stoplight/prism-cli.
const prismVersion = "5.16.0"

// PrismVariable is the environment variable that names the program.
const PrismVariable = "TIFFIN_TEST_PRISM"

// Prism is the path of Stoplight's Prism, which holds HTTP traffic against an OpenAPI document. Where there is none
// the test is skipped; with CI=true it fails.
func Prism(t testing.TB) string {
	t.Helper()
	path, err := prismPath()
	if err != nil {
		missing(t, "Prism", PrismVariable, err)
	}
	return path
}

func prismPath() (string, error) {
	if path := os.Getenv(PrismVariable); path != "" {
		return path, nil
	}
	tools, err := cache()
	if err != nil {
		return "", err
	}
	path := filepath.Join(tools, "prism-"+prismVersion, "node_modules", ".bin", "prism")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err = program("prism")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return path, nil
}

// InstallPrism has Prism here, by npm where need be, and returns its path. It says what takes long.
func InstallPrism(ctx context.Context, say func(string)) (string, error) {
	if path, err := prismPath(); err == nil {
		return path, nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		if err := apt("nodejs", "npm")(ctx, say); err != nil {
			return "", fmt.Errorf("npm is not installed: %w", err)
		}
	}
	err := once(ctx, "prism-"+prismVersion, func(folder string) error {
		say("fetching Prism " + prismVersion + ", once")
		//nolint:gosec // ours
		cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error",
			"@stoplight/prism-cli@"+prismVersion)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("npm install: %w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return prismPath()
}
