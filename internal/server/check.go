package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/seal"
)

// Check looks at what the configuration names, as Open and Listen would, and changes
// nothing. Its error joins all that they would refuse, and a certificate that clients
// would refuse at the time now.
func Check(cfg *config.Config, now time.Time) error {
	return errors.Join(checkDataDir(cfg), checkRootKey(cfg), checkAudit(cfg), checkWebhooks(cfg), checkCertificate(cfg, now))
}

func checkDataDir(cfg *config.Config) error {
	info, err := os.Stat(cfg.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Open makes it; without a root key from elsewhere checkRootKey tells
	}
	if err == nil && !info.IsDir() {
		err = fault.New(fault.Invalid, "%s is no directory", cfg.DataDir)
	}
	if err != nil {
		e := fault.New(fault.Invalid, "the data directory cannot be used: %v", err)
		e.Advice, e.Cause = "mend it, or name another one with --data-dir or REKEY_DATA_DIR", err
		return e
	}
	return nil
}

func checkRootKey(cfg *config.Config) error {
	text, err := rootKey(cfg)
	if err != nil {
		return err
	}
	_, err = seal.ParseRoot(cfg.DataKeyName, text)
	return err
}

func checkAudit(cfg *config.Config) error {
	path, ok := strings.CutPrefix(cfg.Audit, "file:")
	if !ok {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		e := fault.New(fault.Invalid, "the audit file cannot be made: %v", err)
		e.Advice, e.Cause = "make the directory, or name another file with --audit or REKEY_AUDIT", err
		return e
	}
	return nil
}

func checkWebhooks(cfg *config.Config) error {
	_, err := webhooks(cfg)
	return err
}

// checkCertificate does not make the self-signed certificate.
func checkCertificate(cfg *config.Config, now time.Time) error {
	if !cfg.TLS() {
		return nil
	}
	c := &certificate{certFile: cfg.TLSCertificate, keyFile: cfg.TLSKey}
	if cfg.TLSSelfSigned {
		if _, err := os.Stat(filepath.Join(cfg.DataDir, "tls.crt")); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		var err error
		if c.certFile, c.keyFile, err = selfSigned(cfg.DataDir, cfg.Listen, cfg.TLSNames); err != nil {
			return err
		}
	}
	if err := c.load(); err != nil {
		return err
	}
	return inForce(c.certFile, c.current.Load(), now)
}

// inForce tells whether clients would accept the dates of a certificate.
func inForce(file string, pair *tls.Certificate, now time.Time) error {
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return fault.Wrap(err, "reading %s", file)
	}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		e := fault.New(fault.Invalid, "the TLS certificate %s is good from %s to %s only",
			file, leaf.NotBefore.UTC().Format(time.DateTime), leaf.NotAfter.UTC().Format(time.DateTime))
		e.Advice = "renew it, or mend this machine's clock"
		return e
	}
	return nil
}
