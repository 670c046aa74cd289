package intent

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"unicode/utf8"
)

// Example is a text that has an intent.
type Example struct {
	Intent, Text string
}

// maxExamples bounds how long a configuration takes to load.
const maxExamples = 100_000

// Read reads the examples of a folder: each file <intent>.txt has an example a line. Empty lines, and those that begin with
// #, are none. Other files are not read.
func Read(folder fs.FS) ([]Example, error) {
	files, err := fs.Glob(folder, "*.txt")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("it has no file of examples: write one for each intent, as financial.txt, with an example a line")
	}
	var examples []Example
	for _, file := range files {
		intent := strings.TrimSuffix(path.Base(file), ".txt")
		if err := checkName(intent); err != nil {
			return nil, err
		}
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, err
		}
		if !utf8.Valid(text) {
			return nil, fmt.Errorf("%s is not UTF-8", file)
		}
		before := len(examples)
		for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				examples = append(examples, Example{Intent: intent, Text: line})
			}
		}
		if len(examples) == before {
			return nil, fmt.Errorf("%s has no example: write one a line", file)
		}
		if len(examples) > maxExamples {
			return nil, fmt.Errorf("there are more than %d examples", maxExamples)
		}
	}
	return examples, nil
}

// checkName keeps names to what reads well in a Caddyfile and in a log.
func checkName(intent string) error {
	valid := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
	}
	if intent == "" || len(intent) > 64 || strings.ContainsFunc(intent, func(r rune) bool { return !valid(r) }) {
		return fmt.Errorf("%q is no name of an intent: use 1 to 64 letters, digits, dashes and underscores", intent)
	}
	return nil
}

//go:embed examples
var builtIn embed.FS

// BuiltIn gives the examples that the product has: of intents financial, trivial and other, in Chinese and English.
func BuiltIn() []Example {
	folder, err := fs.Sub(builtIn, "examples")
	if err != nil {
		panic(err) // the name is a constant
	}
	examples, err := Read(folder)
	if err != nil {
		panic("the built-in examples: " + err.Error())
	}
	return examples
}

// Default gives the classifier of the built-in examples. It is trained once.
var Default = sync.OnceValue(func() *Classifier {
	c, err := Train(BuiltIn())
	if err != nil {
		panic("the built-in examples: " + err.Error())
	}
	return c
})
