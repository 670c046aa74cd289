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

// openRecorder makes what takes the records.
func openRecorder(s *setting, m *metrics, e *Evidence) (*evidence.Recorder, error) {
	options := evidence.Options{Logger: s.logger.Named("evidence"), Observe: m.evidenced}
	if e != nil {
		vault, err := e.vault(s.secrets)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		if err := vault.CheckDir(); err != nil {
			return nil, fmt.Errorf("evidence: dir: %w", err)
		}
		options.Vault = vault
		s.acquired.add(vault.Close)
		s.checks = append(s.checks, func() error {
			if err := vault.Check(); err != nil {
				return fmt.Errorf("evidence: dir: %w", err)
			}
			return nil
		})
		s.jobs.add("old evidence", func(context.Context) {
			if err := vault.Sweep(); err != nil {
				s.logger.Error("old evidence could not be deleted", zap.Error(err))
			}
		})
	}
	return evidence.NewRecorder(options), nil
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
