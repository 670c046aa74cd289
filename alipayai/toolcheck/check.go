package toolcheck

import (
	"container/list"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"sync"
)

// Fault is what is wrong with a tool call.
type Fault string

// The faults.
const (
	// None: a client can carry the call out.
	None Fault = ""
	// NotJSON: the arguments are no JSON object.
	NotJSON Fault = "not_json"
	// BreaksSchema: they are not as the tool's schema has it.
	BreaksSchema Fault = "breaks_schema"
	// UnknownTool: the request offers no tool of that name.
	UnknownTool Fault = "unknown_tool"
)

// Call is a tool call of an answer.
type Call struct {
	Name string
	// Arguments are the JSON text that the model wrote.
	Arguments string
	// Custom says that it is of type "custom", whose input may be any text.
	Custom bool
}

// maxArguments bounds the arguments that are held against a schema, in bytes, and maxCalls how many calls of an answer are
// judged.
const maxArguments, maxCalls = 256 << 10, 256

// DefaultSchemas is how many compiled schemas are kept by default.
const DefaultSchemas = 256

// Checker judges tool calls. It keeps the schemas that it has compiled, those used last. The
// zero Checker is ready; it is safe for concurrent use.
type Checker struct {
	// Schemas is how many are kept; DefaultSchemas when 0.
	Schemas int

	mu     sync.Mutex
	recent *list.List // of *kept, the one used last in front
	byHash map[[sha256.Size]byte]*list.Element
}

// kept is a schema under the hash of its text; without one where it cannot be checked.
type kept struct {
	hash   [sha256.Size]byte
	schema *schema
}

// Judge gives the first fault of calls, whose request has that body.
func (c *Checker) Judge(request []byte, calls []Call) Fault {
	if len(calls) == 0 {
		return None
	}
	var asked struct {
		Tools []struct {
			Type     string
			Function struct {
				Name       string
				Parameters json.RawMessage
			}
			Custom struct{ Name string }
		}
	}
	if json.Unmarshal(request, &asked) != nil {
		return None // what cannot be read cannot be judged by
	}
	tools := make(map[string]json.RawMessage)
	for _, t := range asked.Tools {
		name, parameters := t.Function.Name, t.Function.Parameters
		if t.Type == "custom" {
			name, parameters = t.Custom.Name, nil
		}
		tools[name] = parameters
	}
	for _, call := range calls[:min(len(calls), maxCalls)] {
		if f := c.judge(call, tools); f != None {
			return f
		}
	}
	return None
}

func (c *Checker) judge(call Call, tools map[string]json.RawMessage) Fault {
	parameters, known := tools[call.Name]
	if !known {
		return UnknownTool
	}
	if call.Custom {
		return None
	}
	text := strings.TrimSpace(call.Arguments)
	if text == "" {
		text = "{}" // which some models leave out where there are none
	}
	if !json.Valid([]byte(text)) || text[0] != '{' {
		return NotJSON
	}
	s := c.schema(parameters)
	if s == nil || len(text) > maxArguments {
		return None
	}
	v, err := decode([]byte(text))
	if err != nil {
		return None // a number beyond what is compared here
	}
	if ok, err := s.check(v); err == nil && !ok {
		return BreaksSchema
	}
	return None
}

// schema gives the schema of that text; nil for none, and for one that cannot be checked.
func (c *Checker) schema(text json.RawMessage) *schema {
	if len(text) == 0 || len(text) > maxSchema || string(text) == "null" {
		return nil
	}
	hash := sha256.Sum256(text)
	if k := c.get(hash); k != nil {
		return k.schema
	}
	s, err := compile(text)
	if err != nil && !errors.Is(err, errUncheckable) {
		return nil
	}
	c.put(&kept{hash, s})
	return s
}

func (c *Checker) get(hash [sha256.Size]byte) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byHash[hash]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*kept)
}

func (c *Checker) put(k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHash == nil {
		c.byHash, c.recent = make(map[[sha256.Size]byte]*list.Element), list.New()
	}
	if c.byHash[k.hash] != nil {
		return
	}
	c.byHash[k.hash] = c.recent.PushFront(k)
	most := c.Schemas
	if most <= 0 {
		most = DefaultSchemas
	}
	for c.recent.Len() > most {
		oldest := c.recent.Back()
		c.recent.Remove(oldest)
		delete(c.byHash, oldest.Value.(*kept).hash)
	}
}
