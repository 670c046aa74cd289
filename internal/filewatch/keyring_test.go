package filewatch_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/filewatch"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/signer"
)

// A folder of keys and a ring: what the package is made for.
func TestKeyRingFollowsItsFolder(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		dir := t.TempDir()
		write := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("1", "hunter1-hunter1!\n")
		keys, err := signer.ReadKeyDir(os.DirFS(dir), signer.ParseHMACKey)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := signer.NewRing(keys)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var reports []string
		load := func() error { return ring.LoadDir(os.DirFS(dir), signer.ParseHMACKey) }
		go filewatch.Run(ctx, filewatch.Dir(dir), filewatch.Interval, load, func(err error) {
			reports = append(reports, err.Error())
		})
		synctest.Wait()

		newestAfter := func(what string, want int) {
			t.Helper()
			time.Sleep(2 * time.Second) // the bubble's clock: it takes no time
			synctest.Wait()
			if version, _ := ring.Signing(); version != want {
				t.Errorf("%s: newest is %d, want %d", what, version, want)
			}
		}
		write("2", "hunter2-hunter2!\n")
		newestAfter("a new file", 2)
		write("3", "hunter3")
		newestAfter("a bad file", 2)
		newestAfter("and later", 2)
		if len(reports) != 1 || !strings.Contains(reports[0], `"3"`) || strings.Contains(reports[0], "hunter") {
			t.Errorf("reports: got %q, want one that names the file", reports)
		}
		write("3", "hunter3-hunter3!\n")
		newestAfter("the file mended", 3)
	})
}
