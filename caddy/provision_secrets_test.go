package alipaycaddy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
)

// openAPI declares a provider of the Open Platform that is complete but for
// options.
func openAPI(options ...string) string {
	return provider(append([]string{"profile openapi-v3", "client_id 2021000000000001"}, options...)...)
}

// TestProvisionRefusesSecrets loads keys and secrets that cannot be right. The
// errors name them and never show them.
func TestProvisionRefusesSecrets(t *testing.T) {
	key := func(value string) string {
		return strings.Replace(hmacProvider(), "{env.TEST_HMAC_KEY}", value, 1)
	}
	secret := secretOf
	bearer := func(value string) string { return provider("profile openai", "api_key "+value) }
	tests := map[string]struct {
		global string
		want   []string
	}{
		"literal key":             {key(aSecret), []string{"provider alipay: key 1", "literal", "insecure_literals"}},
		"literal token secret":    {secret(aSecret), []string{"provider alipay: token secret", "insecure_literals"}},
		"literal api_key":         {bearer(aSecret), []string{"provider alipay: api_key", "insecure_literals"}},
		"literal app_auth_token":  {openAPI("key 1 {file.${rsa}}", "app_auth_token "+aSecret), []string{"provider alipay: app_auth_token", "insecure_literals"}},
		"literal refresh_token":   {refreshing(withEncryptionKey, aSecret), []string{"provider alipay: refresh_token", "insecure_literals"}},
		"literal cookie":          {hmacProvider("header Cookie session=" + aSecret), []string{"provider alipay: header Cookie", "literal"}},
		"two placeholders":        {bearer("{env.TEST_SECRET}{env.TEST_SECRET}"), []string{"provider alipay: api_key", "literal"}},
		"text around placeholder": {bearer("Bearer-{env.TEST_SECRET}"), []string{"provider alipay: api_key", "literal"}},
		"placeholder at request":  {bearer("{http.request.header.X-Key}"), []string{"provider alipay: api_key", "literal"}},
		"unset environment":       {key("{env.TEST_UNSET}"), []string{"provider alipay: key 1", "{env.TEST_UNSET}"}},
		"empty environment":       {secret("{env.TEST_EMPTY}"), []string{"provider alipay: token secret", "{env.TEST_EMPTY}"}},
		"missing file":            {key("{file.${dir}/nothing}"), []string{"provider alipay: key 1", "nothing}"}},
		"short key":               {key("{env.TEST_SHORT_KEY}"), []string{"provider alipay: key", "key 1", "16 bytes"}},
		"no key":                  {provider("profile alipay", "base_url https://api.example.com", "client_id app"), []string{"provider alipay: key is missing"}},
		"no api_key":              {provider("profile openai"), []string{"provider alipay: api_key"}},
		"api_key with line break": {bearer("{env.TEST_CONTROL}"), []string{"provider alipay: api_key"}},
		"api_key in quotes":       {bearer("{env.TEST_QUOTED}"), []string{"provider alipay: api_key begins with a quotation mark", "--env-file"}},
		"api_key in single ones":  {bearer("{env.TEST_QUOTED_ONCE}"), []string{"provider alipay: api_key begins with a quotation mark"}},
		"api_key with a scheme":   {bearer("{env.TEST_SCHEME}"), []string{"provider alipay: api_key begins with Bearer"}},
		"no token":                {provider("profile alipay", "base_url https://api.example.com", "client_id app", "key 1 {env.TEST_HMAC_KEY}"), []string{"provider alipay: token is missing"}},
		"relative token url":      {strings.Replace(hmacProvider(), "https://auth.example.com/token", "/token", 1), []string{"provider alipay: token url"}},
		"key and keys dir":        {hmacProvider("keys dir ${dir}"), []string{"provider alipay: key and keys dir"}},
		"EC for RSA":              {openAPI("key 1 {file.${ec}}"), []string{"provider alipay: key", "key 1", "an EC key", "RSA private key"}},
		"public for private":      {openAPI("key 1 {file.${rsa_public}}"), []string{"provider alipay: key", "an RSA public key", "RSA private key"}},
		"damaged PEM":             {openAPI("key 1 {file.${garbage}}"), []string{"provider alipay: key", "key 1"}},
		"HMAC secret for RSA":     {openAPI("key 1 {env.TEST_HMAC_KEY}"), []string{"provider alipay: key", "neither PEM nor base64"}},
		"private for public":      {openAPI("key 1 {file.${rsa}}", "public_key 1 {file.${rsa}}"), []string{"provider alipay: public_key", "an RSA private key"}},
		"require without a key":   {openAPI("key 1 {file.${rsa}}", "verify_response require"), []string{"provider alipay: verify_response require", "public_key"}},
		"certificate alone":       {openAPI("key 1 {file.${rsa}}", "app_certificate {file.${app_expired}}"), []string{"provider alipay: root_certificates"}},
		"roots alone":             {openAPI("key 1 {file.${rsa}}", "root_certificates {file.${root_bundle}}"), []string{"provider alipay: app_certificate"}},
		"no certificate":          {openAPI("key 1 {file.${rsa}}", "app_certificate {file.${rsa}}", "root_certificates {file.${root_bundle}}"), []string{"provider alipay: app_certificate", "an RSA private key"}},
		"roots without RSA":       {openAPI("key 1 {file.${rsa}}", "app_certificate {file.${app_expired}}", "root_certificates {file.${sm2}}"), []string{"provider alipay: root_certificates"}},
		"refresh without key":     {refreshing("", "{env.TEST_SECRET}"), []string{"provider alipay: refresh_token", "encryption_key"}},
		"literal encryption_key":  {refreshing("encryption_key "+strings.Repeat("ab", 32), "{env.TEST_SECRET}"), []string{"provision alipayai: encryption_key", "literal"}},
		"short encryption_key":    {refreshing("encryption_key {env.TEST_HMAC_KEY}", "{env.TEST_SECRET}"), []string{"provision alipayai: encryption_key", "32 bytes"}},
		"unset encryption_key":    {refreshing("encryption_key {env.TEST_UNSET}", "{env.TEST_SECRET}"), []string{"provision alipayai: encryption_key", "{env.TEST_UNSET}"}},
		"unset refresh_token":     {refreshing(withEncryptionKey, "{env.TEST_UNSET}"), []string{"provider alipay: refresh_token", "{env.TEST_UNSET}"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			refuses(t, tt.global, "", tt.want)
		})
	}
}

// secretOf declares a provider with another token secret.
func secretOf(value string) string {
	return strings.Replace(hmacProvider(), "{env.TEST_SECRET}", value, 1)
}

// refreshing declares a provider whose grant is refresh_token.
func refreshing(encryptionKey, refreshToken string) string {
	declared := strings.Replace(hmacProvider(), "{env.TEST_SECRET}", "{env.TEST_SECRET} {\nrefresh_token "+refreshToken+"\n}", 1)
	return strings.Replace(declared, "alipayai {", "alipayai {\n"+encryptionKey, 1)
}

// TestProvisionRefusesKeysDir loads folders that hold no good ring of keys.
func TestProvisionRefusesKeysDir(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"missing":       {nil, "no such file"},
		"empty":         {map[string]string{".hidden": hmacKey}, "one file per version"},
		"bad file name": {map[string]string{"1": hmacKey, "2.txt": hmacKey}, `"2.txt"`},
		"only a stray":  {map[string]string{"new.txt": hmacKey}, `"new.txt"`},
		"version twice": {map[string]string{"1": hmacKey, "1.key": hmacKey}, "twice"},
		"short key":     {map[string]string{"1": hmacKey, "2": "short-key"}, `"2"`},
		"folder in it":  {map[string]string{"1/x": hmacKey}, "regular file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newSecretRig(t)
			for file, content := range tt.files {
				g.file("keys/"+file, content)
			}
			declared := strings.Replace(hmacProvider(), "key 1 {env.TEST_HMAC_KEY}", "keys dir ${dir}/keys", 1)
			err := g.provision(declared, "")
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, text := range []string{"provider alipay: keys dir " + g.vars["dir"] + "/keys", tt.want} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
			if strings.Contains(err.Error(), hmacKey) || strings.Contains(err.Error(), "short-key") {
				t.Errorf("error %q holds a key", err)
			}
		})
	}
}

// TestProvisionRefusesMixedEnvironments loads what belongs to the sandbox
// together with what moves money.
func TestProvisionRefusesMixedEnvironments(t *testing.T) {
	two := func(a, b []string) string {
		return "alipayai {\nprovider a {\n" + strings.Join(a, "\n") + "\n}\nprovider b {\n" + strings.Join(b, "\n") + "\n}\n}"
	}
	alipay := func(host, key, secret string) []string {
		return []string{"profile alipay", "base_url https://" + host, "client_id app", "key 1 " + key, "token https://auth.example.com/token " + secret}
	}
	tests := map[string]struct {
		global string
		want   []string
	}{
		"sandbox host": {openAPI("base_url https://openapi-sandbox.dl.alipaydev.com", "environment production", "key 1 {file.${rsa}}"),
			[]string{"provider alipay: environment production", "openapi-sandbox.dl.alipaydev.com", "base_url"}},
		"production host": {openAPI("environment sandbox", "key 1 {file.${rsa}}"),
			[]string{"provider alipay: environment sandbox", "openapi.alipay.com", "base_url"}},
		"profile sandbox": {provider("profile sandbox", "environment production"),
			[]string{"provider alipay: environment production"}},
		"sandbox client id": {provider("profile global", "client_id SANDBOX_5X", "environment production", "key 1 {file.${rsa}}"),
			[]string{"provider alipay: environment production", "client_id SANDBOX_5X"}},
		"one HMAC key": {two(alipay("api.example.com", "{env.TEST_HMAC_KEY}", "{env.TEST_SECRET}"),
			alipay("sandbox.example.com", "{env.TEST_HMAC_KEY}", "{env.TEST_CONTROL}")),
			[]string{"provider b: key", "provider a", "sandbox", "production"}},
		"one token secret": {two(alipay("api.example.com", "{env.TEST_HMAC_KEY}", "{env.TEST_SECRET}"),
			alipay("sandbox.example.com", "{env.TEST_CONTROL}", "{env.TEST_SECRET}")),
			[]string{"provider b: token secret", "provider a"}},
		"one RSA key, written in two ways": {two(
			[]string{"profile openapi-v3", "client_id 1", "key 1 {file.${rsa}}"},
			[]string{"profile openapi-v2", "base_url https://openapi-sandbox.dl.alipaydev.com", "client_id 2", "key 7 {file.${rsa_bare}}"}),
			[]string{"provider b: key", "provider a"}},
		"demo token secret": {secretOf("{env.TEST_DEMO_SECRET}"), []string{"provider alipay: token secret", "the simulator", "production"}},
		"demo api_key":      {provider("profile openai", "api_key {env.TEST_DEMO_KEY}"), []string{"provider alipay: api_key", "the simulator"}},
		"one api_key": {two([]string{"profile openai", "api_key {env.TEST_SECRET}"},
			[]string{"profile openai", "base_url https://sandbox.example.com", "api_key {env.TEST_SECRET}"}),
			[]string{"provider b: api_key", "provider a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			refuses(t, tt.global, "", tt.want)
		})
	}
}

// Keys that are made once: an RSA key takes a good part of a second.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func privatePEM(key any) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
}

func publicPEM(key any) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))}))
}

// bare gives the base64 inside of a PEM text, as Alipay's consoles export keys.
func bare(text string) string {
	block, _ := pem.Decode([]byte(text))
	return base64.StdEncoding.EncodeToString(block.Bytes)
}
