package alipaycaddy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// The versions of a key are listed, as metrics and the calendar do, while they are read anew.
func TestKeysAreListedWhileTheyAreRead(t *testing.T) {
	dir := t.TempDir()
	for version := range 8 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(version+1)), fmt.Appendf(nil, "0123456789abcdef0123456789abcdef%02d", version), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u := &upstreams{setting: &setting{logger: zap.NewNop()}, reports: new(reports), watchedKeys: map[string]bool{}}
	u.monitor = alert.NewMonitor(alert.New(alert.NewState(), alert.Options{Logger: zap.NewNop()}), 0)
	l := &keyLoader{upstreams: u, config: &Provider{KeysDir: dir}, provider: &upstream.Provider{Name: "x"}, secrets: newSecrets(true), uses: newCredentialUses()}
	if _, err := ring(l, signer.ParseHMACKey, func(text []byte, _ *signer.HMACKey) []byte { return text }); err != nil {
		t.Fatal(err)
	}
	want := l.held.list()
	if len(want) != 8 || want[0].Version != 8 {
		t.Fatalf("listed: %v", want)
	}
	ended := make(chan struct{})
	var listers sync.WaitGroup
	for range 4 {
		listers.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("panic: %v", v)
				}
			}()
			for {
				select {
				case <-ended:
					return
				default:
				}
				if got := l.held.list(); !reflect.DeepEqual(got, want) {
					t.Errorf("listed: %v, want %v", got, want)
					return
				}
			}
		})
	}
	for range 500 { // a job reads them when it begins
		ctx, cancel := context.WithCancel(t.Context())
		read := func() { cancel() }
		l.held.onChange.Store(&read)
		u.jobs.all[0].run(ctx)
		cancel()
	}
	close(ended)
	listers.Wait()
}
