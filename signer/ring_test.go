package signer

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestRing(t *testing.T) {
	r := ring(t, map[int]string{2: "two", 10: "ten", 1: "one"})
	if version, key := r.Signing(); version != 10 || key != "ten" {
		t.Errorf("newest: got %d, %s", version, key)
	}
	var versions []int
	for version := range r.All() {
		if versions = append(versions, version); version == 2 {
			break
		}
	}
	if !slices.Equal(versions, []int{10, 2}) {
		t.Errorf("order: got %v", versions)
	}
	if key, ok := r.Get(1); key != "one" || !ok {
		t.Errorf("got %q, %v", key, ok)
	}
	if key, ok := r.Get(3); key != "" || ok {
		t.Errorf("got %q, %v", key, ok)
	}
	if err := r.Replace(nil); !errors.Is(err, ErrNoKeys) {
		t.Errorf("no keys: got %v", err)
	}
	for _, version := range []int{0, -1} {
		if err := r.Replace(map[int]string{version: "x", 11: "y"}); err == nil {
			t.Errorf("version %d: accepted", version)
		}
	}
	if version, _ := r.Signing(); version != 10 {
		t.Error("a refused Replace changed the ring")
	}
	if _, err := NewRing[string](nil); !errors.Is(err, ErrNoKeys) {
		t.Errorf("got %v", err)
	}
}

func TestParseKeys(t *testing.T) {
	keys := must(ParseKeys(map[int]string{1: "a", 2: "b"}, ParseToken))(t)
	if len(keys) != 2 || keys[2] != "b" {
		t.Errorf("got %v", keys)
	}
	_, err := ParseKeys(map[int]string{3: "hunter2"}, ParseHMACKey)
	if !errors.Is(err, ErrKeyTooShort) || !strings.Contains(err.Error(), "key 3") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestReadKeyDir(t *testing.T) {
	fsys := fstest.MapFS{
		"1":                 file("one\n"),
		"2.pem":             file("two\r\n"),
		"3.key":             file("three"),
		"12.crt":            file("twelve"),
		".2.pem.swp":        file("\x00"),
		"..data/1":          file("swapped"),
		"..2026_01_02/1":    file("swapped"),
		".hidden/2":         file("hidden"),
		".gitkeep":          file(""),
		"..data_tmp":        file(""),
		"..2026_01_02/2":    file("swapped"),
		"..2026_01_02/.git": file(""),
		"README":            file("how keys are named"),
		"new-key.txt":       file("four"),
		"v4.pem":            file("four"),
		"2~":                file("old"),
		"2.pem~":            file("old"),
		"2.pem.bak":         file("old"),
		"3.TMP":             file(""),
		"12.crt.swp":        file("\x00"),
		"#4#":               file("four"),
		"lost+found/x":      file(""),
	}
	stray := must(StrayKeyFiles(fsys))(t)
	if want := []string{"#4#", "12.crt.swp", "2.pem.bak", "2.pem~", "2~", "3.TMP", "README", "lost+found", "new-key.txt", "v4.pem"}; !slices.Equal(stray, want) {
		t.Errorf("stray files %q, want %q", stray, want)
	}
	keys := must(ReadKeyDir(fsys, ParseToken))(t)
	want := map[int]string{1: "one", 2: "two", 3: "three", 12: "twelve"}
	if len(keys) != len(want) {
		t.Errorf("got %v", keys)
	}
	for version, key := range want {
		if keys[version] != key {
			t.Errorf("version %d: got %q, want %q", version, keys[version], key)
		}
	}
	// One newline is trimmed, the rest is the secret's own.
	raw := func(text []byte) (string, error) { return string(text), nil }
	if keys := must(ReadKeyDir(fstest.MapFS{"1": file("\ufeffa\r\n")}, raw))(t); keys[1] != "a" {
		t.Errorf("a file with a byte order mark is read as %q", keys[1])
	}
	keys = must(ReadKeyDir(fstest.MapFS{"1": file(" a\n\n"), "2": file("b\r")}, raw))(t)
	if keys[1] != " a\n" || keys[2] != "b\r" {
		t.Errorf("got %v", keys)
	}
}

func TestRefusedKeyDirs(t *testing.T) {
	good := file("0123456789abcdef")
	for name, c := range map[string]struct {
		files fstest.MapFS
		says  []string
	}{
		"empty":             {fstest.MapFS{}, []string{"one file per version"}},
		"only dotfiles":     {fstest.MapFS{".1": good}, []string{"one file per version"}},
		"short secret":      {fstest.MapFS{"1": good, "2": file("hunter2")}, []string{`"2"`, "at least 16 bytes"}},
		"empty file":        {fstest.MapFS{"7": file("\n")}, []string{`"7"`, "at least 16 bytes"}},
		"only other names":  {fstest.MapFS{"README": good, "1~": good}, []string{`"README"`, `"1~"`, "one file per version"}},
		"empty and a stray": {fstest.MapFS{"1": good, "README": good, "2": file("")}, []string{`"2"`, "at least 16 bytes"}},
		"zero":              {fstest.MapFS{"0": good}, []string{`"0"`, "named by its version"}},
		"padded":            {fstest.MapFS{"01": good}, []string{`"01"`, "named by its version"}},
		"signed":            {fstest.MapFS{"-1": good}, []string{`"-1"`, "named by it"}},
		"too large a name":  {fstest.MapFS{"4294967296": good}, []string{`"4294967296"`, "named by its version"}},
		"two extensions":    {fstest.MapFS{"1.key.pem": good}, []string{`"1.key.pem"`, "named by its version"}},
		"unknown extension": {fstest.MapFS{"1.txt": good}, []string{`"1.txt"`, "named by its version"}},
		"version twice":     {fstest.MapFS{"1": good, "1.pem": good}, []string{`"1.pem"`, "twice"}},
		"folder":            {fstest.MapFS{"1": good, "2/x": good}, []string{`"2"`, "regular file"}},
		"huge":              {fstest.MapFS{"1": file(strings.Repeat("hunter2", 10000))}, []string{`"1"`, "larger than"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := ring(t, map[int]*HMACKey{5: NewHMACKey([]byte("k"))})
			err := r.LoadDir(c.files, ParseHMACKey)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q tells content", err)
			}
			if version, _ := r.Signing(); version != 5 {
				t.Error("a refused folder changed the ring")
			}
		})
	}
}

// A mounted Kubernetes secret: files are links through ..data, which is a link to the current version.
func TestReadKeyDirOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "..2026"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "..2026", "1"), []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link("..2026", "..data")
	link("..data/1", "1")
	if keys := must(ReadKeyDir(os.DirFS(dir), ParseHMACKey))(t); len(keys) != 1 {
		t.Errorf("got %v", keys)
	}
	link("..data/2", "2") // which is not there
	_, err := ReadKeyDir(os.DirFS(dir), ParseHMACKey)
	if err == nil || !strings.Contains(err.Error(), `key file "2"`) {
		t.Errorf("dangling link: got %v", err)
	}
	if _, err := ReadKeyDir(os.DirFS(filepath.Join(dir, "none")), ParseHMACKey); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: got %v", err)
	}
}

// A version that is held back does not sign, and verifies all the same.
func TestSignUpTo(t *testing.T) {
	for name, c := range map[string]struct {
		held []int
		upTo int
		want int
	}{
		"no bound":              {[]int{1, 2, 3}, 0, 3},
		"the highest":           {[]int{1, 2, 3}, 3, 3},
		"above the highest":     {[]int{1, 2, 3}, 9, 3},
		"one is held back":      {[]int{1, 2, 3}, 2, 2},
		"between":               {[]int{1, 2, 5}, 4, 2},
		"the lowest":            {[]int{1, 2, 3}, 1, 1},
		"none is permitted":     {[]int{4, 5}, 3, 4},
		"only one is held":      {[]int{7}, 3, 7},
		"below zero: no bound":  {[]int{1, 2}, -1, 2},
		"one is added above it": {[]int{1, 2, 3, 4}, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			keys := make(map[int]string)
			for _, version := range c.held {
				keys[version] = strconv.Itoa(version)
			}
			r, err := NewRing(map[int]string{1: "1"})
			if err != nil {
				t.Fatal(err)
			}
			r.SignUpTo(c.upTo)
			if err := r.Replace(keys); err != nil {
				t.Fatal(err)
			}
			if version, key := r.Signing(); version != c.want || key != strconv.Itoa(c.want) {
				t.Errorf("key %d %q signs, want %d", version, key, c.want)
			}
			held := 0
			for range r.All() {
				held++
			}
			if held != len(c.held) {
				t.Errorf("%d keys verify, want %d", held, len(c.held))
			}
		})
	}
}

// One version alone signs for itself, whatever is held back.
func TestOnly(t *testing.T) {
	r, err := NewRing(map[int]string{1: "one", 2: "two"})
	if err != nil {
		t.Fatal(err)
	}
	r.SignUpTo(1)
	only, ok := r.Only(2)
	if !ok {
		t.Fatal("version 2 is not held")
	}
	if version, key := only.Signing(); version != 2 || key != "two" {
		t.Errorf("key %d %q signs", version, key)
	}
	if _, ok := r.Only(3); ok {
		t.Error("a version that is not held")
	}
}

// A key's day is in its file's name, or is that of the file; and a name has nothing else in it.
func TestKeyDates(t *testing.T) {
	written := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	file := &fstest.MapFile{Data: []byte("k"), ModTime: written}
	day := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	folder := fstest.MapFS{"1": file, "2.pem": file, "3-2026-11-28": file, "4-2026-11-28.key": file, ".hidden": file, "..data": file}
	dates, err := KeyDates(folder)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[int]time.Time{1: written, 2: written, 3: day, 4: day}; !maps.Equal(dates, want) {
		t.Errorf("%v, want %v", dates, want)
	}
	parse := func(text []byte) (string, error) { return string(text), nil }
	keys, err := ReadKeyDir(folder, parse)
	if err != nil || len(keys) != 4 {
		t.Errorf("%v, %v", keys, err)
	}
	for _, name := range []string{"5-", "5-2026-13-01", "5-2026-11-31", "5-28.11.2026", "5-2026-11-28-1", "-2026-11-28", "5.2026-11-28", "v5-2026-11-28"} {
		if _, err := ReadKeyDir(fstest.MapFS{name: file}, parse); err == nil {
			t.Errorf("%q is read as a key's file", name)
		}
	}
	if _, err := ReadKeyDir(fstest.MapFS{"5": file, "5-2026-11-28": file}, parse); err == nil {
		t.Error("a version that is there twice is taken")
	}
}
