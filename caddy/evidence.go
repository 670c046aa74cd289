package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/evidence"
)

// Evidence says where complete records of system errors go. Redacted ones are
// always in the log.
type Evidence struct {
	// The age public keys (`age1...`) of those who may read the records; any of
	// them can. They may be placeholders. Required.
	Recipients []string `json:"recipients,omitempty" placeholder:"whole"`

	// The folder of the records, made if it is not there. It may be a placeholder. Required.
	Dir string `json:"dir,omitempty" placeholder:"whole"`

	// How long a record is kept. Default: `720h`
	TTL caddy.Duration `json:"ttl,omitempty"`

	// The most bytes of all records; the oldest go first. Default: `1073741824` (1 GiB)
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// openEvidence makes what takes the records.
func (a *App) openEvidence() error {
	options := evidence.Options{Logger: a.logger.Named("evidence"), Observe: a.metrics.evidenced}
	if e := a.Evidence; e != nil {
		vault, err := e.vault(newSecrets(a.InsecureLiterals))
		if err != nil {
			return fmt.Errorf("evidence: %w", err)
		}
		if err := vault.CheckDir(); err != nil {
			return fmt.Errorf("evidence: dir: %w", err)
		}
		options.Vault = vault
		a.acquired.add(vault.Close)
		a.checks = append(a.checks, func() error {
			if err := vault.Check(); err != nil {
				return fmt.Errorf("evidence: dir: %w", err)
			}
			return nil
		})
		a.jobs.add("old evidence", func(context.Context) {
			if err := vault.Sweep(); err != nil {
				a.logger.Error("old evidence could not be deleted", zap.Error(err))
			}
		})
	}
	a.evidence = evidence.NewRecorder(options)
	return nil
}

func (e *Evidence) vault(s secrets) (*evidence.Vault, error) {
	if e.TTL < 0 || e.MaxBytes < 0 {
		return nil, errors.New("ttl and max_bytes must be positive")
	}
	options := evidence.VaultOptions{TTL: time.Duration(e.TTL), MaxBytes: e.MaxBytes}
	var err error
	if e.Dir != "" {
		if options.Dir, err = s.public("dir", e.Dir); err != nil {
			return nil, err
		}
	}
	for _, text := range e.Recipients {
		resolved, err := s.public("recipient", text)
		if err != nil {
			return nil, err
		}
		recipient, err := evidence.ParseRecipient(resolved)
		if err != nil {
			return nil, err
		}
		options.Recipients = append(options.Recipients, recipient)
	}
	return evidence.NewVault(options)
}
