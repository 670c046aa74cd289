package alipaycaddy

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/calendar"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/filewatch"
	"github.com/caddy-alipayai/gateway/signer"
)

// keyLoader gives a provider its signing scheme.
type keyLoader struct {
	upstreams *upstreams
	config    *Provider
	provider  *upstream.Provider
	secrets   secrets
	uses      credentialUses
	// account is a hash of the fixed key, once it is loaded; empty where there is none.
	account string
	// held are the versions of the key that signs, and schemeOf makes the scheme that signs with one of them alone; nil
	// where nothing signs. certificateEnds is when app_certificate does.
	held            heldKeys
	schemeOf        func(version int) (signer.Scheme, error)
	certificateEnds time.Time
	// stray are the names of files that were warned of.
	stray sync.Map
}

// load reads the keys and makes the scheme that the profile signs with.
func (l *keyLoader) load() error {
	if err := l.refuseUnused(); err != nil {
		return err
	}
	kind := l.provider.Profile.Kind()
	config := signer.Config{ClientID: l.provider.ClientID, Header: l.provider.Profile.KeyHeader}
	var err error
	switch kind.Key {
	case signer.KeyToken:
		err = l.token(&config)
	case signer.KeySecret:
		return l.secret(config)
	case signer.KeyRSA:
		err = l.rsa(&config)
	}
	if err != nil {
		return err
	}
	if keys := config.Keys; keys != nil {
		l.schemeOf = func(version int) (signer.Scheme, error) {
			one := config
			one.Keys, _ = keys.Only(version)
			return kind.New(one)
		}
	}
	l.provider.Scheme, err = kind.New(config)
	return err
}

// secret reads the keys of HMAC-SHA256, and makes the scheme of the profile's layout
// or of one's own.
func (l *keyLoader) secret(config signer.Config) (err error) {
	own := l.config.Signature
	parse := signer.ParseHMACKey
	if own != nil {
		encoding := signer.KeyEncoding(own.KeyEncoding)
		if err := encoding.Check(); err != nil {
			return fmt.Errorf("signature: %w", err)
		}
		if err := own.checkTolerance(); err != nil {
			return err
		}
		parse = encoding.Parse
	}
	if config.Secrets, err = ring(l, parse, func(text []byte, _ *signer.HMACKey) []byte { return text }); err != nil {
		return err
	}
	make := func(keys *signer.Ring[*signer.HMACKey]) (signer.Scheme, error) {
		if own != nil {
			return own.layout(config.ClientID, keys)
		}
		config := config
		config.Secrets = keys
		return l.provider.Profile.Kind().New(config)
	}
	l.schemeOf = func(version int) (signer.Scheme, error) {
		one, _ := config.Secrets.Only(version)
		return make(one)
	}
	l.provider.Scheme, err = make(config.Secrets)
	return err
}

// refuseUnused refuses options that the profile would ignore.
func (l *keyLoader) refuseUnused() error {
	c, profile := l.config, l.provider.Profile
	keys := len(c.Keys) > 0 || c.KeysDir != ""
	kind := profile.Kind()
	for _, o := range []struct {
		name       string
		set, taken bool
	}{
		{"key", keys, kind.Signs()},
		{"client_id", c.ClientID != "", kind.Signs()},
		{"api_key", c.APIKey != "", kind.Key == signer.KeyToken},
		{"public_key", len(c.PublicKeys) > 0, kind.Key == signer.KeyRSA},
		{"app_certificate", c.AppCertificate != "", kind.OpenPlatform},
		{"root_certificates", c.RootCertificates != "", kind.OpenPlatform},
		{"app_auth_token", c.AppAuthToken != "", kind.OpenPlatform},
		{"token", c.Token != nil, profile.TakesToken},
		{"signature", c.Signature != nil, kind.Key == signer.KeySecret},
	} {
		if o.set && !o.taken {
			return fmt.Errorf("%s has no meaning for profile %s", o.name, profile.Name)
		}
	}
	if c.KeyCalendar != nil && !kind.Signs() {
		return fmt.Errorf("key_calendar has no meaning for profile %s", profile.Name)
	}
	if len(c.Keys) > 0 && c.KeysDir != "" {
		return errors.New("key and keys dir exclude each other")
	}
	return nil
}

// token reads the fixed key of a preset.
func (l *keyLoader) token(config *signer.Config) error {
	given := sandbox.DemoAPIKey
	if !l.provider.Profile.Simulated || l.config.APIKey != "" {
		var err error
		if given, err = l.secrets.resolve("api_key", l.config.APIKey); err != nil {
			return err
		}
	}
	if err := checkAPIKey(given); err != nil {
		return err
	}
	key, err := signer.ParseToken([]byte(given))
	if err != nil {
		return fmt.Errorf("api_key: %w", err)
	}
	hash := hashAll([]string{key})
	l.account = string(hash[:])
	if err := l.uses.add(l.provider, "api_key", []byte(key)); err != nil {
		return err
	}
	config.Tokens, err = signer.NewRing(map[int]string{1: key})
	return err
}

// rsa reads the keys of a scheme that signs with RSA, and what belongs to them on
// the Open Platform.
func (l *keyLoader) rsa(config *signer.Config) (err error) {
	config.Keys, err = ring(l, signer.ParseRSAPrivateKey, func(_ []byte, k *rsa.PrivateKey) []byte {
		return x509.MarshalPKCS1PublicKey(&k.PublicKey)
	})
	if err != nil {
		return err
	}
	if len(l.config.PublicKeys) > 0 {
		texts := make(map[int]string, len(l.config.PublicKeys))
		for version, text := range l.config.PublicKeys {
			if texts[version], err = l.secrets.public(fmt.Sprintf("public_key %d", version), text); err != nil {
				return err
			}
		}
		public, err := signer.ParseKeys(texts, signer.ParseRSAPublicKey)
		if err != nil {
			return fmt.Errorf("public_key: %w", err)
		}
		if config.ResponseKeys, err = signer.NewRing(public); err != nil {
			return fmt.Errorf("public_key: %w", err)
		}
	}
	if err := l.verifiable(config.ResponseKeys); err != nil {
		return err
	}
	if err := l.certificates(config); err != nil {
		return err
	}
	if l.config.AppAuthToken != "" {
		config.AppAuthToken, err = l.secrets.resolve("app_auth_token", l.config.AppAuthToken)
	}
	return err
}

// verifiable turns verification off where there is nothing to verify with.
func (l *keyLoader) verifiable(publicKeys *signer.Ring[*rsa.PublicKey]) error {
	if publicKeys != nil {
		return nil
	}
	switch l.provider.Verify {
	case upstream.VerifyRequire:
		return errors.New("verify_response require needs public_key, to verify answers with")
	case "":
		l.upstreams.logger.Warn("answers are not verified: no public_key is set", zap.String("provider", l.provider.Name))
	}
	l.provider.Verify = upstream.VerifyOff
	return nil
}

// certificates reads what the certificate mode needs. An expired certificate
// makes the provider unavailable, not the configuration invalid: the other
// providers must keep serving.
func (l *keyLoader) certificates(config *signer.Config) error {
	if l.config.AppCertificate == "" && l.config.RootCertificates == "" {
		return nil
	}
	text, err := l.secrets.public("app_certificate", l.config.AppCertificate)
	if err != nil {
		return err
	}
	certificate, err := signer.ParseCertificate([]byte(text))
	if err != nil {
		return fmt.Errorf("app_certificate: %w", err)
	}
	roots, err := l.secrets.public("root_certificates", l.config.RootCertificates)
	if err != nil {
		return err
	}
	if config.RootCertSN, err = signer.RootCertSN([]byte(roots)); err != nil {
		return fmt.Errorf("root_certificates: %w", err)
	}
	config.AppCertSN, l.certificateEnds = certificate.SN, certificate.NotAfter
	l.provider.Unavailable = func(now time.Time) error {
		if certificate.Expired(now) {
			return fmt.Errorf("its app_certificate expired on %s", certificate.NotAfter.UTC().Format(time.DateOnly))
		}
		return nil
	}
	if err := l.provider.Unavailable(time.Now()); err != nil {
		l.upstreams.logger.Error("provider is unavailable", zap.String("provider", l.provider.Name), zap.Error(err))
	}
	return nil
}

// ring reads the provider's signing keys, from the configuration or from a
// folder that is watched from then on. identity gives what tells one key from
// another, however it was written.
func ring[K any](l *keyLoader, parse func([]byte) (K, error), identity func(text []byte, key K) []byte) (*signer.Ring[K], error) {
	read := func(text []byte) (k identified[K], err error) {
		known(string(text))
		if k.key, err = parse(text); err == nil {
			k.id = sha256.Sum256(identity(text, k.key))
		}
		return k, err
	}
	found, err := readKeys(l, func(text []byte) (identified[K], error) {
		k, err := read(text)
		if err != nil {
			return k, err
		}
		return k, l.uses.add(l.provider, "it", identity(text, k.key))
	})
	if err != nil {
		return nil, err
	}
	keys, ids := split(found)
	r, err := signer.NewRing(keys)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	var held atomic.Pointer[map[int][sha256.Size]byte] // the ids of all versions, as they were read together
	held.Store(&ids)
	l.held = heldKeys{signing: func() int { version, _ := r.Signing(); return version }, signUpTo: r.SignUpTo}
	l.held.list = func() (list []calendar.Key) {
		var since map[int]time.Time
		if dir := l.config.KeysDir; dir != "" {
			since, _ = signer.KeyDates(os.DirFS(dir)) // a folder that is gone was loaded once, and is logged
		}
		ids := *held.Load()
		for _, version := range slices.Backward(slices.Sorted(maps.Keys(ids))) {
			list = append(list, calendar.Key{Version: version, ID: calendar.KeyID(version, ids[version]), Since: since[version]})
		}
		return list
	}
	if dir := l.config.KeysDir; dir != "" {
		logger := l.upstreams.logger.With(zap.String("provider", l.provider.Name), zap.String("keys_dir", dir))
		l.upstreams.watchKeys(l.provider.Name, filewatch.Dir(dir), logger, func() error {
			found, err := signer.ReadKeyDir(os.DirFS(dir), read)
			if err != nil {
				return err
			}
			keys, ids := split(found)
			if err := r.Replace(keys); err != nil {
				return err
			}
			held.Store(&ids)
			l.warnOfStray()
			l.held.changed()
			logger.Info("keys are loaded", zap.Int("signing_with", l.held.signing()))
			return nil
		})
	}
	return r, nil
}

// identified is a key and the hash of what tells it from others.
type identified[K any] struct {
	key K
	id  [sha256.Size]byte
}

// split gives the keys, and their ids, by version.
func split[K any](found map[int]identified[K]) (keys map[int]K, ids map[int][sha256.Size]byte) {
	keys, ids = make(map[int]K, len(found)), make(map[int][sha256.Size]byte, len(found))
	for version, k := range found {
		keys[version], ids[version] = k.key, k.id
	}
	return keys, ids
}

func readKeys[K any](l *keyLoader, parse func([]byte) (K, error)) (map[int]K, error) {
	if dir := l.config.KeysDir; dir != "" {
		keys, err := signer.ReadKeyDir(os.DirFS(dir), parse)
		if err != nil {
			return nil, fmt.Errorf("keys dir %s: %w", dir, err)
		}
		l.warnOfStray()
		return keys, nil
	}
	texts := make(map[int]string, len(l.config.Keys))
	for version, value := range l.config.Keys {
		text, err := l.secrets.resolve(fmt.Sprintf("key %d", version), value)
		if err != nil {
			return nil, err
		}
		texts[version] = text
	}
	if len(texts) == 0 {
		if !l.provider.Profile.Simulated {
			return nil, errors.New("key is missing; write key <version> {env.NAME}, or keys dir <path>")
		}
		for version, key := range sandbox.DemoKeys() {
			texts[version] = string(key)
		}
	}
	keys, err := signer.ParseKeys(texts, parse)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return keys, nil
}

// warnOfStray logs, once each, the files in the folder of keys that are not read.
func (l *keyLoader) warnOfStray() {
	stray, err := signer.StrayKeyFiles(os.DirFS(l.config.KeysDir))
	if err != nil {
		return // ReadKeyDir says so
	}
	for _, name := range stray {
		if _, known := l.stray.LoadOrStore(name, true); !known {
			l.upstreams.logger.Warn("a file in the folder of keys is skipped: a key is named by its version, as 2, 2.pem or 2-2026-11-28.pem",
				zap.String("provider", l.provider.Name), zap.String("keys_dir", l.config.KeysDir), zap.String("file", name))
		}
	}
}

// watchKeys has load called when a folder or file of keys changes. Operators are alerted while it fails. of is the
// provider that signs with them or, for keys of tenants, the file.
func (u *upstreams) watchKeys(of string, fingerprint filewatch.Fingerprint, logger *zap.Logger, load func() error) {
	u.watchedKeys[of] = true
	u.jobs.add("keys of "+of, func(ctx context.Context) {
		filewatch.Run(ctx, fingerprint, pace.keys, func() error {
			err := load()
			if err == nil {
				u.monitor.KeysUnusable(of, nil)
			}
			return err
		}, func(err error) {
			logger.Error("new keys are not usable; the old ones stay", zap.Error(err))
			u.monitor.KeysUnusable(of, err)
		})
	})
}
