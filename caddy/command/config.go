package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// configFlags say which configuration a command reads.
func configFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("config", "c", "", "the configuration file; ./Caddyfile unless set")
	cmd.Flags().StringP("adapter", "a", "", "the config adapter of that file, if it is no Caddyfile")
}

// configured is the gateway of a configuration that was provisioned, and never started.
type configured struct {
	Gateway
	// providers are as they were configured: provisioning takes modules out.
	providers map[string]json.RawMessage
}

// loadConfigured reads a configuration as `caddy run` does, and provisions of it
// what providers need: no listener, no site.
func (c commands) loadConfigured(cmd *cobra.Command) (*configured, error) {
	file, _ := cmd.Flags().GetString("config") // the flags are there
	adapter, _ := cmd.Flags().GetString("adapter")
	config, used, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, err
	}
	if used == "" {
		return nil, errors.New("there is no ./Caddyfile; name the configuration with --config")
	}
	var all struct {
		Apps struct {
			Gateway struct {
				Providers map[string]json.RawMessage `json:"providers"`
			} `json:"alipayai"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &all); err != nil {
		return nil, unreadable(used, err)
	}
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(config), &parsed); err != nil {
		return nil, unreadable(used, err)
	}
	// The sites need not be right, nor their certificates be there.
	maps.DeleteFunc(parsed.AppsRaw, func(name string, _ json.RawMessage) bool { return name != "alipayai" && name != "pki" })
	parsed.Admin = &caddy.AdminConfig{Disabled: true}
	ctx, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		return nil, err
	}
	opened, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &configured{opened, all.Apps.Gateway.Providers}, nil
}

// unreadable is the error for a configuration whose JSON is not that of one, without what it would be in Go.
func unreadable(file string, err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = fmt.Errorf("%s is %s, and has to be of another type", cmp.Or(strings.TrimPrefix(wrong.Field, "."), "all of it"), wrong.Value)
	}
	return fmt.Errorf("reading the configuration %s: %w", file, err)
}

// with builds a provider once more, with JSON merge patches of its configuration.
func (c *configured) with(name string, patches []string) (*upstream.Provider, error) {
	var config any
	if err := json.Unmarshal(c.providers[name], &config); err != nil {
		return nil, err
	}
	for _, text := range patches {
		var patch any
		if err := json.Unmarshal([]byte(text), &patch); err != nil {
			return nil, err
		}
		config = mergePatch(config, patch)
	}
	merged, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	p, err := c.Build(name, merged)
	if err != nil {
		return nil, fmt.Errorf("provider %s with %s: %w", name, strings.Join(patches, ", "), err)
	}
	return p, nil
}

// mergePatch applies a JSON merge patch (RFC 7396, section 2).
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = make(map[string]any)
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = mergePatch(object[name], value)
		}
	}
	return object
}
