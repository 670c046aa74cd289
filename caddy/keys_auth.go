package alipaycaddy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/internal/filewatch"
)

func init() {
	caddy.RegisterModule(new(KeysAuth))
}

// KeysAuth authenticates by keys, as `Authorization: Bearer` or `X-Api-Key`, as
// OpenAI's and Anthropic's clients send them; both at once must be the same key. Only the
// keys' hashes are configured; `caddy alipayai key new <tenant>` makes a key
// and its hash. The authenticated user's id is the tenant.
type KeysAuth struct {
	// The hashes (`sha256:<hex>`) of each tenant's keys. Default: those of `file`
	Keys map[string][]string `json:"keys,omitempty"`

	// A file with a tenant and a key's hash on each line, separated by white
	// space; lines that begin with `#` are comments. It is read anew within
	// two seconds of a change. Default: none.
	File string `json:"file,omitempty"`

	tenants tenants.Keys
	loaded  map[tenants.KeyHash]string // what was read last
}

// CaddyModule returns the Caddy module information.
func (*KeysAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authentication.providers.alipayai_keys",
		New: func() caddy.Module { return new(KeysAuth) },
	}
}

// Provision reads the keys.
func (k *KeysAuth) Provision(ctx caddy.Context) error {
	if err := checkValues(k); err != nil {
		return err
	}
	if len(k.Keys) == 0 && k.File == "" {
		return errors.New("no keys; write key <tenant> sha256:<hex>, or file <path>")
	}
	if err := k.load(); err != nil {
		return err
	}
	app, err := loadApp(ctx)
	if err != nil {
		return err
	}
	app.warnings.keys = append(app.warnings.keys, k.tenants.Tenants)
	if k.File == "" {
		return nil
	}
	logger := live.Log(ctx.Logger()).With(zap.String("file", k.File))
	app.watchKeys(k.File, filewatch.File(k.File), logger, func() error {
		before := k.loaded
		err := k.load()
		if err == nil && !maps.Equal(before, k.loaded) {
			names := slices.Sorted(slices.Values(k.tenants.Tenants()))
			logger.Info("keys of tenants are read anew", zap.Int("keys", len(k.loaded)), zap.Int("tenants", len(slices.Compact(names))))
		}
		return err
	})
	return nil
}

// load makes the table of all keys, those of the configuration and the file's.
func (k *KeysAuth) load() error {
	table := make(map[tenants.KeyHash]string)
	if k.File != "" {
		content, err := os.ReadFile(k.File)
		if err != nil {
			return fmt.Errorf("file of keys: %w", err)
		}
		if table, err = tenants.ParseKeys(content); err != nil {
			return fmt.Errorf("file of keys %s: %w", k.File, err)
		}
		if len(table) == 0 {
			// Likely a file that is being written just now.
			return fmt.Errorf("file of keys %s holds no key", k.File)
		}
	}
	for tenant, hashes := range k.Keys {
		if len(hashes) == 0 {
			return fmt.Errorf("key of tenant %s: there is none; write sha256:<hex>, as `caddy alipayai key new %s` prints it, or take the tenant out", tenant, tenant)
		}
		for _, hash := range hashes {
			if err := tenants.AddKey(table, tenant, hash); err != nil {
				return fmt.Errorf("key of tenant %s: %w", tenant, err)
			}
		}
	}
	k.tenants.Replace(table)
	k.loaded = table
	return nil
}

// Authenticate implements caddyauth.Authenticator.
func (k *KeysAuth) Authenticate(_ http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	key, problem := sentKey(r.Header)
	if problem != "" {
		return caddyauth.User{}, false, nil
	}
	tenant, ok := k.tenants.Lookup(key)
	return caddyauth.User{ID: tenant}, ok, nil
}

// sentKey gives the key that a client has sent: as Bearer, as OpenAI's do, or as X-Api-Key, as Anthropic's do. Claude Code
// sends it as both where it is configured so, and Anthropic's SDKs send one of the two empty. Of two keys that differ, another
// reader might take the other one. Where there is not one key, problem says what the client has to change.
func sentKey(h http.Header) (key, problem string) {
	if len(h["Authorization"]) > 1 || len(h["X-Api-Key"]) > 1 {
		return "", "Authorization or X-Api-Key was sent more than once; send one API key"
	}
	scheme, bearer, _ := strings.Cut(strings.TrimSpace(h.Get("Authorization")), " ")
	bearer, key = strings.TrimSpace(bearer), strings.TrimSpace(h.Get("X-Api-Key"))
	isBearer := strings.EqualFold(scheme, "Bearer")
	switch {
	case bearer == "" && (scheme == "" || isBearer):
		if key == "" {
			return "", "no API key was sent; send it as Authorization: Bearer <key>, or as X-Api-Key"
		}
		return key, ""
	case bearer == "" || !isBearer:
		return "", "Authorization is not of the form Bearer <key>"
	case key != "" && key != bearer:
		return "", "Authorization and X-Api-Key hold different API keys; send one"
	}
	return bearer, ""
}

// Interface guards
var (
	_ caddy.Provisioner       = (*KeysAuth)(nil)
	_ caddyauth.Authenticator = (*KeysAuth)(nil)
)
