package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// sweepEvery is how often a vault that is written to is looked through, and
	// how old a file must be that a crash left half written.
	sweepEvery = time.Hour

	timeLayout  = "20060102T150405.000Z"
	tempPattern = ".alipayai-evidence-*.tmp"
)

var (
	sealedName = regexp.MustCompile(`^(\d{8}T\d{6}\.\d{3}Z)-[A-Za-z0-9_-]+-\d+\.json\.age$`)
	tempName   = regexp.MustCompile(`^\.alipayai-evidence-\d+\.tmp$`)
)

// fileName is the name of a record's file.
func fileName(r Record) string {
	const longestID = 80
	id := strings.Map(func(c rune) rune {
		if c < 128 && (isAlphanumeric(byte(c)) || c == '-' || c == '_') {
			return c
		}
		return '_'
	}, r.RequestID)
	id = id[:min(len(id), longestID)]
	if id == "" {
		id = "unknown"
	}
	return fmt.Sprintf("%s-%s-%d.json.age", r.Time.UTC().Format(timeLayout), id, max(r.Attempt, 0))
}

// Sweep deletes the records that are too old, and the oldest where all take
// too much room; and again, until Close, whenever one becomes too old. A
// directory that does not exist holds none.
func (v *Vault) Sweep() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sweep()
}

// Close ends the waiting for records to become too old. Records can still be
// sealed, and those that are too old go then.
func (v *Vault) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	if v.timer != nil {
		v.timer.Stop()
	}
}

type sealedFile struct {
	name string
	at   time.Time
	size int64
}

func (v *Vault) sweep() error {
	now := time.Now()
	v.swept = now
	// By name, which is by time.
	entries, err := os.ReadDir(v.opt.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look through the sealed records: %w", err)
	}
	v.bytes = 0
	var kept []sealedFile
	var failed error
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // deleted meanwhile, or not ours
		}
		name := entry.Name()
		match := sealedName.FindStringSubmatch(name)
		if match == nil {
			if tempName.MatchString(name) && now.Sub(info.ModTime()) > sweepEvery {
				failed = errors.Join(failed, v.remove(name))
			}
			continue
		}
		at, err := time.Parse(timeLayout, match[1])
		if err != nil {
			continue
		}
		if now.Sub(at) >= v.opt.TTL {
			failed = errors.Join(failed, v.remove(name))
			continue
		}
		kept = append(kept, sealedFile{name, at, info.Size()})
		v.bytes += info.Size()
	}
	if v.bytes > v.opt.MaxBytes {
		// A little more than needed, so that the next record needs no sweep.
		for room := v.opt.MaxBytes - v.opt.MaxBytes/16; len(kept) > 0 && v.bytes > room; kept = kept[1:] {
			failed = errors.Join(failed, v.remove(kept[0].name))
			v.bytes -= kept[0].size
		}
	}
	if len(kept) > 0 {
		v.wake(kept[0].at.Add(v.opt.TTL).Sub(now))
	}
	return failed
}

// wake sweeps again after a while.
func (v *Vault) wake(after time.Duration) {
	if v.timer != nil {
		v.timer.Stop()
	}
	if !v.closed {
		// A failure has no caller to report to; the next sealing reports it.
		v.timer = time.AfterFunc(max(after, time.Second), func() { _ = v.Sweep() })
	}
}

func (v *Vault) remove(name string) error {
	err := os.Remove(filepath.Join(v.opt.Dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete a sealed record: %w", err)
	}
	return nil
}
