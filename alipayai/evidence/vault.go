package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
)

// Defaults of [VaultOptions].
const (
	DefaultTTL         = 30 * 24 * time.Hour
	DefaultMaxDirBytes = 1 << 30
)

// VaultOptions say where sealed records are, for whom, and how long.
type VaultOptions struct {
	// Dir is made with mode 0700 when the first record is sealed.
	Dir string
	// Recipients may read the records; see [ParseRecipient].
	Recipients []age.Recipient
	// TTL is how long a record is kept. Zero means [DefaultTTL].
	TTL time.Duration
	// MaxBytes is what all records may take; the oldest go first. Zero means
	// [DefaultMaxDirBytes].
	MaxBytes int64
}

// Vault keeps records in a directory, each in a file of its own that only the
// recipients can read, named by time, request and attempt:
// 20261123T074500.123Z-req_7f3a-1.json.age. It touches no other file there. It
// is safe for concurrent use, also by several vaults with the same directory.
type Vault struct {
	opt VaultOptions

	mu     sync.Mutex
	swept  time.Time   // when it was last looked through; zero if never
	bytes  int64       // of all records, as far as known
	timer  *time.Timer // for the next record that becomes too old
	closed bool
}

var (
	errNoDir        = errors.New("dir: a directory for sealed records is needed")
	errNoRecipients = errors.New("recipient: at least one public key (age1…) is needed")
)

// NewVault makes a vault. Nothing is read or written yet.
func NewVault(opt VaultOptions) (*Vault, error) {
	switch {
	case opt.Dir == "":
		return nil, errNoDir
	case len(opt.Recipients) == 0:
		return nil, errNoRecipients
	}
	if opt.TTL == 0 {
		opt.TTL = DefaultTTL
	}
	if opt.MaxBytes == 0 {
		opt.MaxBytes = DefaultMaxDirBytes
	}
	return &Vault{opt: opt}, nil
}

// CheckDir reports whether the directory can be made, or used where it is there,
// and makes nothing.
func (v *Vault) CheckDir() error {
	dir := filepath.Clean(v.opt.Dir)
	info, err := os.Stat(dir)
	for errors.Is(err, os.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		info, err = os.Stat(dir)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	return tryFile(dir)
}

// Check makes the directory, and reports whether records can be put there.
func (v *Vault) Check() error {
	if err := os.MkdirAll(v.opt.Dir, 0o700); err != nil {
		return err
	}
	return tryFile(v.opt.Dir)
}

// tryFile makes a file in dir and removes it.
func tryFile(dir string) error {
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Seal writes the record, with mode 0600, and makes room for it. Its errors contain
// nothing of the record.
func (v *Vault) Seal(r Record) error {
	if err := os.MkdirAll(v.opt.Dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of sealed records: %w", err)
	}
	size, err := v.write(r)
	if err != nil {
		return fmt.Errorf("seal a record: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bytes += size
	if v.bytes > v.opt.MaxBytes || time.Since(v.swept) >= sweepEvery {
		return v.sweep()
	}
	return nil
}

// write puts the sealed record in place whole, or not at all.
func (v *Vault) write(r Record) (size int64, err error) {
	// CreateTemp makes files with mode 0600.
	f, err := os.CreateTemp(v.opt.Dir, tempPattern)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	sealed, err := age.Encrypt(f, v.opt.Recipients...)
	if err != nil {
		return 0, err
	}
	if err := json.NewEncoder(sealed).Encode(r); err != nil {
		return 0, err
	}
	if err := sealed.Close(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	return info.Size(), os.Rename(f.Name(), filepath.Join(v.opt.Dir, fileName(r)))
}

// Open reads a sealed record.
func Open(r io.Reader, identities ...age.Identity) (Record, error) {
	plain, err := age.Decrypt(r, identities...)
	if err != nil {
		return Record{}, fmt.Errorf("open a sealed record: %w", err)
	}
	var record Record
	if err := json.NewDecoder(plain).Decode(&record); err != nil {
		return Record{}, fmt.Errorf("read a sealed record: %w", err)
	}
	return record, nil
}

// OpenFile reads a sealed record with the private keys (AGE-SECRET-KEY-1…, one
// a line) of the file at identityPath.
func OpenFile(path, identityPath string) (Record, error) {
	keys, err := os.Open(identityPath)
	if err != nil {
		return Record{}, fmt.Errorf("identity: %w", err)
	}
	defer func() { _ = keys.Close() }()
	identities, err := age.ParseIdentities(keys)
	if err != nil {
		return Record{}, fmt.Errorf("identity %s: %w", identityPath, err)
	}
	sealed, err := os.Open(path)
	if err != nil {
		return Record{}, err
	}
	defer func() { _ = sealed.Close() }()
	return Open(sealed, identities...)
}

// ParseRecipient reads an operator's public key, as age-keygen prints it. Its
// errors name the option, and never repeat what was given: it may be the
// private key.
func ParseRecipient(s string) (age.Recipient, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(strings.ToUpper(s), "AGE-SECRET-KEY-") {
		return nil, errors.New("recipient: this is a private key, which must not be in the configuration; " +
			"give its public key (age1…), which age-keygen -y prints")
	}
	recipient, err := age.ParseX25519Recipient(s)
	if err != nil {
		return nil, errors.New("recipient: not an age public key; one is age1 and 58 more lower-case letters and digits")
	}
	return recipient, nil
}
