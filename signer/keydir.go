package signer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxKeyFile bounds a key file: a chain of certificates stays far below it.
const maxKeyFile = 64 << 10

// ParseKeys parses the texts of a ring's keys, by version. Errors name the version, never the text.
func ParseKeys[K any](texts map[int]string, parse func([]byte) (K, error)) (map[int]K, error) {
	keys := make(map[int]K, len(texts))
	for version, text := range texts {
		key, err := parse([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", version, err)
		}
		keys[version] = key
	}
	return keys, nil
}

// ReadKeyDir reads a folder that holds one file per key version, named by it: 1, 2.pem, 3.key or 4.crt, or by it and
// the day from which the key is valid: 5-2026-11-28 or 5-2026-11-28.pem. One
// newline at a file's end is taken off, since editors and shells put it there, and so is a byte order mark at its beginning. Entries whose names begin with
// a dot are ignored: they are editors' files and the links (..data) that Kubernetes swaps below a mounted
// secret. So are those that are not meant as a version, which [StrayKeyFiles] gives. Anything else that is no key
// fails the whole read, with an error that names the file and never tells its content: half a ring would sign with
// the wrong version.
func ReadKeyDir[K any](fsys fs.FS, parse func([]byte) (K, error)) (map[int]K, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("key folder: %w", pathless(err))
	}
	keys := make(map[int]K, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || isStray(name) {
			continue
		}
		version, _, err := keyVersion(name)
		if err != nil {
			return nil, fmt.Errorf("key file %q: %w", name, err)
		}
		if _, taken := keys[version]; taken {
			return nil, fmt.Errorf("key file %q: version %d is there twice", name, version)
		}
		text, err := readKeyFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("key file %q: %w", name, err)
		}
		key, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("key file %q: %w", name, err)
		}
		keys[version] = key
	}
	if len(keys) == 0 {
		others := ""
		if stray, _ := StrayKeyFiles(fsys); len(stray) > 0 {
			others = fmt.Sprintf(", as 1 or 2.pem, and %q is not", stray)
		}
		return nil, fmt.Errorf("key folder: %w: it must hold one file per version, named by it%s", ErrNoKeys, others)
	}
	return keys, nil
}

// StrayKeyFiles gives the names of what a folder of keys holds beside keys, and [ReadKeyDir] skips: names that do not
// begin with a digit, such as README or new-key.txt, and copies that editors and people leave, such as 2~, 2.bak or
// #2#. A name that begins with a digit and is no version is not among them: ReadKeyDir refuses it, since it was likely
// meant as one. Nor are names that begin with a dot.
func StrayKeyFiles(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("key folder: %w", pathless(err))
	}
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasPrefix(name, ".") && isStray(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// copySuffixes end the names of files that editors and people leave beside the one that they change.
var copySuffixes = []string{"~", ".bak", ".tmp", ".temp", ".swp", ".swo", ".swx", ".orig", ".old", ".new", ".part"}

// isStray says that a file's name is not meant as a version.
func isStray(name string) bool {
	return name[0] < '0' || name[0] > '9' ||
		slices.ContainsFunc(copySuffixes, func(suffix string) bool { return strings.HasSuffix(strings.ToLower(name), suffix) })
}

// KeyDates gives since when each version of a folder that ReadKeyDir reads has been there: the day in its file's name,
// in UTC, or else when the file was written. A version that cannot be looked at has none.
func KeyDates(fsys fs.FS) (map[int]time.Time, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("key folder: %w", pathless(err))
	}
	dates := make(map[int]time.Time, len(entries))
	for _, entry := range entries {
		version, since, err := keyVersion(entry.Name())
		if err != nil {
			continue
		}
		if since.IsZero() {
			info, err := fs.Stat(fsys, entry.Name()) // where a link leads
			if err != nil {
				continue
			}
			since = info.ModTime()
		}
		dates[version] = since
	}
	return dates, nil
}

// keyVersion reads the version from a file's name, and the day that may follow it.
func keyVersion(name string) (version int, since time.Time, err error) {
	number := name
	for _, ext := range []string{".pem", ".key", ".crt"} {
		if rest, ok := strings.CutSuffix(name, ext); ok {
			number = rest
		}
	}
	number, day, dated := strings.Cut(number, "-")
	parsed, err := strconv.ParseInt(number, 10, 32)
	if err != nil || !isDigits(number) {
		return 0, time.Time{}, errors.New("must be named by its version, e.g. 1 or 2.pem")
	}
	if dated {
		if since, err = time.Parse(time.DateOnly, day); err != nil {
			return 0, time.Time{}, errors.New("must have nothing but a day behind its version, e.g. 2-2026-11-28.pem")
		}
	}
	return int(parsed), since, nil
}

// readKeyFile reads a regular file (or a link to one: anything else might block) without its last newline.
func readKeyFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, pathless(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("must be a regular file")
	}
	file, err := fsys.Open(name)
	if err != nil {
		return nil, pathless(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, pathless(err)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("must not be larger than %d bytes", maxKeyFile)
	}
	text, cut := bytes.CutSuffix(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\n"))
	if cut {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	return text, nil
}

// pathless drops the operation and path of an fs error, which the message around it names already.
func pathless(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
