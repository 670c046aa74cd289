package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/filewatch"
)

func init() {
	caddy.RegisterModule(new(KeysAuth))
}

// KeysAuth authenticates by bearer keys, as OpenAI clients send them. Only the
// keys' hashes are configured; `caddy alipayai key new <tenant>` makes a key
// and its hash. The authenticated user's id is the tenant.
type KeysAuth struct {
	// The hashes (`sha256:<hex>`) of each tenant's keys. Default: those of `file`
	Keys map[string][]string `json:"keys,omitempty"`

	// A file with a tenant and a key's hash on each line, separated by white
	// space; lines that begin with `#` are comments. It is read anew within
	// two seconds of a change. Default: none.
	File string `json:"file,omitempty"`

	tenants alipayai.TenantKeys
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
	app.jobs = append(app.jobs, func(ctx context.Context) {
		filewatch.Run(ctx, filewatch.File(k.File), filewatch.Interval, k.load, func(err error) {
			logger.Error("new keys are not usable; the old ones stay", zap.Error(err))
		})
	})
	return nil
}

// load makes the table of all keys, those of the configuration and the file's.
func (k *KeysAuth) load() error {
	table := make(map[alipayai.KeyHash]string)
	if k.File != "" {
		content, err := os.ReadFile(k.File)
		if err != nil {
			return fmt.Errorf("file of keys: %w", err)
		}
		if table, err = alipayai.ParseTenantKeys(content); err != nil {
			return fmt.Errorf("file of keys %s: %w", k.File, err)
		}
		if len(table) == 0 {
			// Likely a file that is being written just now.
			return fmt.Errorf("file of keys %s holds no key", k.File)
		}
	}
	for tenant, hashes := range k.Keys {
		for _, hash := range hashes {
			if err := alipayai.AddTenantKey(table, tenant, hash); err != nil {
				return fmt.Errorf("key of tenant %s: %w", tenant, err)
			}
		}
	}
	k.tenants.Replace(table)
	return nil
}

// Authenticate implements caddyauth.Authenticator.
func (k *KeysAuth) Authenticate(_ http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		// Of two keys, another reader might take the other one.
		return caddyauth.User{}, false, nil
	}
	scheme, key, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return caddyauth.User{}, false, nil
	}
	tenant, ok := k.tenants.Lookup(strings.TrimSpace(key))
	return caddyauth.User{ID: tenant}, ok, nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*KeysAuth)(nil)
	_ caddyauth.Authenticator = (*KeysAuth)(nil)
)
