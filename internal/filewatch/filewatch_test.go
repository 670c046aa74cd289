package filewatch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// watched is a state with a loader that fails on "bad" states.
type watched struct {
	mu       sync.Mutex
	state    string
	passing  bool // the next load fails, whatever the state
	loads    []string
	reported []string
}

func (w *watched) load() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads = append(w.loads, w.state)
	if w.passing || strings.HasPrefix(w.state, "bad") {
		return errors.New("cannot load " + w.state)
	}
	return nil
}

func (w *watched) look() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

func (w *watched) set(state string, passing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state, w.passing = state, passing
}

func (w *watched) run(ctx context.Context) {
	Run(ctx, w.look, time.Second, w.load, func(err error) {
		w.reported = append(w.reported, err.Error())
	})
}

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		states   []string // one per second, from the start on
		loads    []string
		reported []string
	}{
		"loads at once":           {[]string{"a"}, []string{"a"}, nil},
		"not again":               {[]string{"a", "a", "a"}, []string{"a"}, nil},
		"each change":             {[]string{"a", "b", "b", "a"}, []string{"a", "b", "a"}, nil},
		"reports once":            {[]string{"a", "bad", "bad"}, []string{"a", "bad", "bad"}, []string{"cannot load bad"}},
		"each bad state":          {[]string{"bad", "bad2", "bad2"}, []string{"bad", "bad2", "bad2"}, []string{"cannot load bad", "cannot load bad2"}},
		"back to the old state":   {[]string{"a", "bad", "a", "a"}, []string{"a", "bad", "a"}, []string{"cannot load bad"}},
		"anew after a good state": {[]string{"bad", "a", "bad"}, []string{"bad", "a", "bad"}, []string{"cannot load bad", "cannot load bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := &watched{state: c.states[0]}
				go w.run(ctx)
				synctest.Wait()
				for _, state := range c.states[1:] {
					w.set(state, false)
					time.Sleep(time.Second) // the bubble's clock: it takes no time
					synctest.Wait()
				}
				if !slices.Equal(w.loads, c.loads) {
					t.Errorf("loads: got %q, want %q", w.loads, c.loads)
				}
				if !slices.Equal(w.reported, c.reported) {
					t.Errorf("reports: got %q, want %q", w.reported, c.reported)
				}
			})
		})
	}
}

// A load can fail for a passing reason: it is tried again without a change.
func TestRunTriesAgain(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := &watched{state: "a", passing: true}
		go w.run(ctx)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		w.set("a", false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if want := []string{"a", "a", "a"}; !slices.Equal(w.loads, want) || len(w.reported) != 1 {
			t.Errorf("loads %q, reports %q", w.loads, w.reported)
		}
	})
}

func TestRunStops(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &watched{state: "a"}
		done := make(chan struct{})
		go func() { w.run(ctx); close(done) }()
		synctest.Wait()
		cancel()
		<-done
		w.run(ctx) // with a context that is done already
		if len(w.loads) != 1 {
			t.Errorf("loads: got %q", w.loads)
		}
	})
}

func TestFingerprints(t *testing.T) {
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(t *testing.T, to, path string) {
		t.Helper()
		if err := os.Symlink(to, path+"~"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change  func(t *testing.T, dir string)
		changes bool
	}{
		"nothing":            {func(*testing.T, string) {}, false},
		"same content":       {func(t *testing.T, dir string) { write(t, dir+"/1", "one") }, false},
		"other times":        {func(t *testing.T, dir string) { chtimes(t, dir+"/1") }, false},
		"dotfile":            {func(t *testing.T, dir string) { write(t, dir+"/.1.swp", "x") }, false},
		"other content":      {func(t *testing.T, dir string) { write(t, dir+"/1", "uno") }, true},
		"same size and time": {func(t *testing.T, dir string) { chtimes(t, dir+"/1"); write(t, dir+"/1", "eno"); chtimes(t, dir+"/1") }, true},
		"new file":           {func(t *testing.T, dir string) { write(t, dir+"/2", "") }, true},
		"removed":            {func(t *testing.T, dir string) { remove(t, dir+"/1") }, true},
		"renamed":            {func(t *testing.T, dir string) { link(t, "1", dir+"/3"); remove(t, dir+"/1") }, true},
		"swapped link":       {func(t *testing.T, dir string) { link(t, "..new", dir+"/..data") }, true},
		"dangling link":      {func(t *testing.T, dir string) { link(t, "..none", dir+"/..data") }, true},
		"folder gone":        {func(t *testing.T, dir string) { remove(t, dir) }, true},
		"folder in it":       {func(t *testing.T, dir string) { mkdir(t, dir+"/2") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "keys")
			mkdir(t, dir)
			mkdir(t, dir+"/..old")
			mkdir(t, dir+"/..new")
			write(t, dir+"/1", "one")
			write(t, dir+"/..old/k8s", "old")
			write(t, dir+"/..new/k8s", "new")
			link(t, "..old", dir+"/..data")
			link(t, "..data/k8s", dir+"/4")
			folder := Dir(dir)
			before := folder()
			if before == "" || before != folder() {
				t.Fatal("a look changes the state")
			}
			c.change(t, dir)
			if changed := folder() != before; changed != c.changes {
				t.Errorf("changed: got %v, want %v", changed, c.changes)
			}
		})
	}
}

func TestFileFingerprint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenants")
	look := File(path)
	seen := []string{look()}
	for _, text := range []string{"", "a", "b"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, look())
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != 4 {
		t.Errorf("states look the same: %q", seen)
	}
}

func chtimes(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}
