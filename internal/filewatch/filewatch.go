// Package filewatch notices changed files and folders by looking at them, again and again.
//
// It polls on purpose. Kubernetes updates a mounted secret by swapping the link ..data below the folder, which
// inotify reports for the link's inode only, and not at all for a file mounted by subPath; NFS and overlay
// mounts report nothing when another host writes; and editors replace files by renaming, which silently ends
// the watch of the old inode. A look at a few small files costs some tens of microseconds, and it cannot miss
// a state that lasts longer than the interval.
//
// A look reads contents rather than times and sizes: a swapped link may bring an older file of the same size,
// and a network mount's times can be a second coarse.
package filewatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Interval is the usual time between two looks: a change is in use within two seconds.
const Interval = time.Second

// Fingerprint returns a short text that differs whenever the watched state does. It never fails: that something
// cannot be read is a state, too.
type Fingerprint func() string

// Run calls load at once (so that no change is lost between an earlier load and now) and then whenever the
// fingerprint has changed; it returns when ctx is done. When load fails, report gets the error once for each
// distinct state, and load is tried again at every look, since the reason may have been passing. What a failed
// load leaves in use is load's own matter: the old keys should stay. load and report run on Run's goroutine.
func Run(ctx context.Context, fingerprint Fingerprint, interval time.Duration, load func() error, report func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var loaded, reported string // "" before the first success or report: no fingerprint is empty
	for {
		if ctx.Err() != nil {
			return
		}
		// The look comes before the load: a change in between is seen at the next look.
		if now := fingerprint(); now != loaded {
			loaded = ""
			if err := load(); err == nil {
				loaded, reported = now, ""
			} else if now != reported {
				reported = now
				report(err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// File returns the fingerprint of one small file's content. Links are followed.
func File(path string) Fingerprint {
	return func() string {
		h := sha256.New()
		addFile(h, path)
		return hex.EncodeToString(h.Sum(nil))
	}
}

// Dir returns the fingerprint of the names and contents of the small files in a folder. Links are followed.
// Names that begin with a dot are ignored: editors' files and the links that Kubernetes swaps.
func Dir(path string) Fingerprint {
	return func() string {
		h := sha256.New()
		entries, err := os.ReadDir(path)
		if err != nil {
			fmt.Fprintf(h, "%q", err.Error())
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), ".") {
				addFile(h, filepath.Join(path, entry.Name()))
			}
		}
		return hex.EncodeToString(h.Sum(nil))
	}
}

// addFile hashes a file's path and content, or why there is none. Only regular files are opened: a pipe would
// block the look for ever.
func addFile(h hash.Hash, path string) {
	content := sha256.New()
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() {
		var file *os.File
		if file, err = os.Open(path); err == nil {
			defer file.Close()
			_, err = io.Copy(content, file)
		}
	}
	switch {
	case err != nil:
		fmt.Fprintf(h, "%q error %q\n", path, err.Error())
	case !info.Mode().IsRegular():
		fmt.Fprintf(h, "%q %q\n", path, info.Mode().Type())
	default:
		fmt.Fprintf(h, "%q %x\n", path, content.Sum(nil))
	}
}
