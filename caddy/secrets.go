package alipaycaddy

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-alipayai/gateway/internal/seal"
)

// secrets resolves the placeholders that secrets are configured with.
type secrets struct {
	repl *caddy.Replacer
	// literals permits secrets in the configuration itself, where /config/ and
	// the autosave show them.
	literals bool
}

// byteOrderMark is what editors on Windows put before UTF-8.
const byteOrderMark = "\xEF\xBB\xBF"

func newSecrets(literals bool) secrets {
	return secrets{repl: caddy.NewReplacer(), literals: literals}
}

// resolve gives the secret that value stands for, and makes it known to the
// filter of credentials. Errors name the option and never hold the value.
func (s secrets) resolve(option, value string) (string, error) {
	secret, err := s.lookup(option, value)
	if err == nil {
		known(secret)
	}
	return secret, err
}

// lookup is resolve of what need not be a secret.
func (s secrets) lookup(option, value string) (string, error) {
	if value == "" {
		return "", fmt.Errorf("%s is empty; set it like {env.NAME} or {file./path}", option)
	}
	if !isPlaceholder(value) {
		if !s.literals {
			return "", fmt.Errorf("%s is a literal secret, which /config/ and the autosave would show; use {env.NAME} or {file./path}, or set insecure_literals", option)
		}
		return literal(option, value)
	}
	resolved, err := s.repl.ReplaceOrErr(value, true, true)
	if err != nil || resolved == "" {
		return "", fmt.Errorf("%s: placeholder %s is not set or empty", option, value)
	}
	// A Secret of Kubernetes often ends in a line break, and so does each line of a file with CRLF
	// (https://github.com/clusterzx/paperless-ai/issues/469, https://github.com/leonbreukelman/smactorio/issues/163).
	resolved = strings.TrimRight(strings.TrimPrefix(resolved, byteOrderMark), "\r\n")
	if resolved == "" {
		return "", fmt.Errorf("%s: placeholder %s is not set or empty", option, value)
	}
	return resolved, nil
}

// checkAPIKey refuses a key with what it was written in: the quotes that `docker run --env-file` leaves around a value
// (https://github.com/topoteretes/cognee/issues/1721, https://github.com/letta-ai/letta/issues/3069), or the scheme before it. The
// vendor would refuse each call.
func checkAPIKey(key string) error {
	scheme, _, more := strings.Cut(key, " ")
	switch first := key[:1]; {
	case strings.ContainsAny(first, "\"'`"):
		return errors.New("api_key begins with a quotation mark; write the key alone, as docker's --env-file takes quotes for a part of it")
	case more && strings.EqualFold(scheme, "Bearer"):
		return errors.New("api_key begins with Bearer, which the gateway puts before it; write the key alone")
	}
	return nil
}

// public resolves what is no secret, and may therefore stand in the
// configuration as it is.
func (s secrets) public(option, value string) (string, error) {
	if value == "" {
		return "", fmt.Errorf("%s is empty; write its value, or {env.NAME} or {file./path} that has one", option)
	}
	if !isPlaceholder(value) {
		return literal(option, value)
	}
	return s.lookup(option, value)
}

// literal refuses a value of which a part only looks as if it were replaced.
func literal(option, value string) (string, error) {
	switch found := replaced.FindString(value); {
	case found == "":
		return value, nil
	case isPlaceholder(found):
		return "", fmt.Errorf("%s: %s is replaced only where it is the whole value; write {env.NAME} or {file./path} alone", option, found)
	default:
		return "", fmt.Errorf("%s: %s is not replaced here; {env.NAME} and {file./path} are", option, found)
	}
}

// fill resolves a secret that may have plain words around its placeholders,
// such as Bearer {env.NAME}.
func (s secrets) fill(option, value string) (string, error) {
	if !hasPlaceholder(value) {
		return s.resolve(option, value)
	}
	filled, err := s.repl.ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("%s: one of its placeholders is not set or empty", option)
	}
	filled = strings.ReplaceAll(filled, byteOrderMark, "")
	for word := range strings.FieldsSeq(filled) {
		known(word)
	}
	return filled, nil
}

// hasPlaceholder reports whether value holds a placeholder that is resolved
// when the configuration is loaded.
func hasPlaceholder(value string) bool {
	return strings.Contains(value, "{env.") || strings.Contains(value, "{file.")
}

// isPlaceholder reports whether value is exactly one placeholder that is
// resolved when the configuration is loaded.
func isPlaceholder(value string) bool {
	inner, ok := strings.CutPrefix(value, "{")
	if !ok {
		return false
	}
	inner, ok = strings.CutSuffix(inner, "}")
	return ok && !strings.ContainsAny(inner, "{}") &&
		(strings.HasPrefix(inner, "env.") || strings.HasPrefix(inner, "file."))
}

// checkHeaderValue refuses what would end a header line early, and what no request could be sent with.
func checkHeaderValue(option, value string) error {
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("%s has a line break or another control character in it", option)
	}
	return nil
}

// newSeal gives what tokens are encrypted with; nil without encryption_key.
func newSeal(s secrets, key string) (*seal.Seal, error) {
	if key == "" {
		return nil, nil
	}
	text, err := s.resolve("encryption_key", key)
	if err != nil {
		return nil, err
	}
	return parseEncryptionKey(text)
}

// parseEncryptionKey reads 32 bytes in hexadecimal digits or base64.
func parseEncryptionKey(text string) (*seal.Seal, error) {
	key, err := hex.DecodeString(text)
	if err != nil {
		key, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(key) != 32 {
		return nil, errors.New("encryption_key must be 32 bytes, as 64 hexadecimal digits or in base64; `openssl rand -hex 32` makes one")
	}
	return seal.New([32]byte(key))
}
