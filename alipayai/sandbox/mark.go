package sandbox

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bounds of what a mark may ask for.
const (
	maxEvents   = 10_000
	maxContent  = 1 << 20
	maxInterval = time.Minute
)

// marks are the orders that a prompt carries in double brackets.
type marks struct {
	text     string // the prompt without them
	faults   []Fault
	events   int           // content events of a stream, 0: as the words fall
	bytes    int           // bytes of content, 0: as it comes
	interval time.Duration // between content events
}

var (
	markPattern    = regexp.MustCompile(`\[\[(fault|events|bytes|interval):([^\[\]]*)\]\]`)
	literalPattern = regexp.MustCompile(`^(-?\d+|true|false)$`)
)

// parseMarks takes the marks out of a prompt. Brackets of other kinds are text.
func parseMarks(prompt string) (marks, error) {
	if !strings.Contains(prompt, "[[") {
		return marks{text: prompt}, nil
	}
	var m marks
	for _, found := range markPattern.FindAllStringSubmatch(prompt, -1) {
		if err := m.set(found[1], found[2]); err != nil {
			return m, fmt.Errorf("mark [[%s:…]]: %w", found[1], err)
		}
	}
	m.text = strings.TrimSpace(markPattern.ReplaceAllString(prompt, ""))
	return m, nil
}

func (m *marks) set(name, value string) (err error) {
	switch name {
	case "events":
		m.events, err = count(value, maxEvents)
	case "bytes":
		m.bytes, err = count(value, maxContent)
	case "interval":
		m.interval, err = time.ParseDuration(value)
		if err != nil || m.interval < 0 || m.interval > maxInterval {
			err = fmt.Errorf("want a duration from 0s to %v", maxInterval)
		}
	case "fault":
		var f Fault
		if f, err = parseFaultMark(value); err == nil {
			m.faults = append(m.faults, f)
		}
	}
	return err
}

func count(value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("want 1 to %d", most)
	}
	return n, nil
}

// parseFaultMark reads KIND, KIND=ARG and further ,field=value.
func parseFaultMark(value string) (Fault, error) {
	head, rest, more := strings.Cut(value, ",")
	kind, arg, hasArg := strings.Cut(head, "=")
	j := faultJSON{plainFault: plainFault{Kind: Kind(kind)}}
	if hasArg {
		field := kinds[j.Kind].arg
		if field == "" {
			return Fault{}, fmt.Errorf("kind: %q takes no argument", kind)
		}
		if err := j.set(field, literal(arg)); err != nil {
			return Fault{}, err
		}
	}
	for more {
		var option string
		option, rest, more = strings.Cut(rest, ",")
		field, v, _ := strings.Cut(option, "=")
		if err := j.set(field, literal(v)); err != nil {
			return Fault{}, err
		}
	}
	f, err := j.fault().check()
	switch {
	case err != nil:
		return f, err
	case f.Kind == ClockSkew || f.Kind == TokenError:
		return f, fmt.Errorf("kind: %s acts before a prompt is read: use PUT /_sandbox/faults", f.Kind)
	case f.Times != 0 || f.Path != "" || f.ClientID != "":
		return f, fmt.Errorf("kind: a mark hits its own call: no times, path or client_id")
	}
	return f, nil
}

// literal is a mark's value as JSON: numbers and booleans as they are, the rest as a string.
func literal(value string) json.RawMessage {
	if literalPattern.MatchString(value) {
		return json.RawMessage(value)
	}
	quoted, _ := json.Marshal(value) // strings always marshal
	return quoted
}
