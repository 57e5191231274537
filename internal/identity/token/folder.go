package token

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// madeKey is the file of a key that was made here. Others that are put beside it sign if their names come later.
const madeKey = "0001.pem"

// maxKeyFile bounds what is read of a key's file, in bytes.
const maxKeyFile = 16 << 10

// keyFiles are the *.pem of a folder, by name.
func keyFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".pem") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

// folderStamp changes when a key's file does.
func folderStamp(dir string) (string, error) {
	files, err := keyFiles(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			return "", fmt.Errorf("signing keys: %w", err)
		}
		fmt.Fprintf(&b, "%s %d %v %d\n", name, info.Size(), info.Mode(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}

// readKeys reads the keys of a folder, at least one, and its stamp from before.
func readKeys(dir string) ([]ed25519.PrivateKey, string, error) {
	stamp, err := folderStamp(dir)
	if err != nil {
		return nil, "", err
	}
	files, err := keyFiles(dir)
	if err != nil {
		return nil, "", err
	}
	if len(files) == 0 {
		return nil, "", fmt.Errorf("signing keys: %s has no *.pem; expected an Ed25519 private key in PKCS#8", dir)
	}
	keys := make([]ed25519.PrivateKey, 0, len(files))
	for _, name := range files {
		k, err := readKey(name)
		if err != nil {
			return nil, "", fmt.Errorf("signing key %s: %w", name, err)
		}
		if slices.ContainsFunc(keys, func(other ed25519.PrivateKey) bool { return other.Equal(k) }) {
			return nil, "", fmt.Errorf("signing key %s: another file has the same key", name)
		}
		keys = append(keys, k)
	}
	return keys, stamp, nil
}

func readKey(name string) (ed25519.PrivateKey, error) {
	f, err := os.Open(name) //nolint:gosec // the operator's folder
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a file")
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("everybody may use it (mode %#o); expected 0600 or 0640", mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	return parseKey(text)
}

// parseKey reads one PEM block. No error repeats any of it.
func parseKey(text []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("not one PEM block PRIVATE KEY (PKCS#8)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a private key in PKCS#8")
	}
	k, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return k, nil
}

// makeKey makes a key where the folder has none. Of several processes that do it at once one wins, and all read the
// winner's: the file appears whole or not at all.
func makeKey(dir string, random io.Reader) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	if files, err := keyFiles(dir); err != nil || len(files) > 0 {
		return err
	}
	_, k, err := ed25519.GenerateKey(random)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	draft, err := os.CreateTemp(dir, ".draft-*") // 0600
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	defer os.Remove(draft.Name()) //nolint:errcheck // a draft left behind is not read
	_, err = draft.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err = errors.Join(err, draft.Sync(), draft.Close()); err == nil {
		err = os.Link(draft.Name(), filepath.Join(dir, madeKey))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("signing keys: %w", err)
	}
	return nil
}
