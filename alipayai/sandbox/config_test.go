package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	good := App{ClientID: "a", Keys: DemoKeys(), OAuthSecret: "s"}
	app := func(change func(*App)) Config {
		a := good
		change(&a)
		return Config{Apps: []App{good, a}}
	}
	tests := map[string]struct {
		cfg  Config
		want string
	}{
		"mode":               {Config{Mode: "prod"}, "Mode"},
		"dialect":            {Config{Dialect: "klingon"}, "Dialect"},
		"claude's dialect":   {Config{Format: Anthropic, Dialect: Mistral}, "Dialect"},
		"token life":         {Config{TokenLife: time.Millisecond}, "TokenLife"},
		"negative life":      {Config{TokenLife: -time.Hour}, "TokenLife"},
		"expires form":       {Config{ExpiresIn: "roman"}, "ExpiresIn"},
		"empty model":        {Config{Models: []string{"m", ""}}, "Models[1]"},
		"no client id":       {app(func(a *App) { a.ClientID = "" }), "Apps[1].ClientID"},
		"client id with dot": {app(func(a *App) { a.ClientID = "a.b" }), "Apps[1].ClientID"},
		"client id with CR":  {app(func(a *App) { a.ClientID = "a\rb" }), "Apps[1].ClientID"},
		"client id twice":    {app(func(*App) {}), "Apps[1].ClientID"},
		"no keys":            {app(func(a *App) { a.Keys = nil }), "Apps[1].Keys"},
		"version zero":       {app(func(a *App) { a.Keys = map[int][]byte{0: make([]byte, 16)} }), "Apps[1].Keys[0]"},
		"short key":          {app(func(a *App) { a.Keys = map[int][]byte{3: make([]byte, 15)} }), "Apps[1].Keys[3]"},
		"no oauth secret":    {app(func(a *App) { a.OAuthSecret = "" }), "Apps[1].OAuthSecret"},

		"format":                  {Config{Format: "grpc"}, "Format"},
		"claude in production":    {Config{Format: Anthropic, Mode: Production}, "Mode"},
		"claude with token life":  {Config{Format: Anthropic, TokenLife: time.Hour}, "TokenLife"},
		"claude with expires_in":  {Config{Format: Anthropic, ExpiresIn: ExpiresString}, "ExpiresIn"},
		"agent that rotates":      {Config{Format: NextBuilder, RotateRefreshTokens: true}, "RotateRefreshTokens"},
		"client id with comma":    {app(func(a *App) { a.ClientID = "a,b" }), "Apps[1].ClientID"},
		"client id with equals":   {app(func(a *App) { a.ClientID = "a=b" }), "Apps[1].ClientID"},
		"API key for chat":        {app(func(a *App) { a.APIKey = "k" }), "Apps[1].APIKey"},
		"public key for chat":     {app(func(a *App) { a.PublicKey = "k" }), "Apps[1].PublicKey"},
		"claude without key":      {Config{Format: Anthropic, Apps: []App{{ClientID: "a"}}}, "Apps[0].APIKey is empty"},
		"claude with OAuth":       {Config{Format: Anthropic, Apps: []App{{ClientID: "a", APIKey: "k", OAuthSecret: "s"}}}, "Apps[0].OAuthSecret"},
		"claude with HMAC":        {Config{Format: Anthropic, Apps: []App{{ClientID: "a", APIKey: "k", Keys: DemoKeys()}}}, "Apps[0].Keys"},
		"one key for two":         {Config{Format: Anthropic, Apps: []App{{ClientID: "a", APIKey: "k"}, {ClientID: "b", APIKey: "k"}}}, "Apps[1].APIKey"},
		"agent without apps":      {Config{Format: NextBuilder}, "Apps"},
		"agent without key":       {Config{Format: NextBuilder, Apps: []App{{ClientID: "a"}}}, "Apps[0].PublicKey is empty"},
		"agent with refresh":      {Config{Format: NextBuilder, Apps: []App{{ClientID: "a", PublicKey: "k", RefreshToken: "r"}}}, "Apps[0].RefreshToken"},
		"public key, no base64":   {Config{Format: NextBuilder, Apps: []App{{ClientID: "a", PublicKey: "-"}}}, "Apps[0].PublicKey: want PEM"},
		"public key, other bytes": {Config{Format: NextBuilder, Apps: []App{{ClientID: "a", PublicKey: "AAAA"}}}, "Apps[0].PublicKey: want an RSA public key"},
		"public key of a curve":   {Config{Format: NextBuilder, Apps: []App{{ClientID: "a", PublicKey: curvePEM(t)}}}, "Apps[0].PublicKey: want an RSA public key"},
		"public key too short":    {Config{Format: NextBuilder, Apps: []App{{ClientID: "a", PublicKey: shortPEM}}}, "Apps[0].PublicKey: has 1024 bits"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(tc.cfg)
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that names %s", err, tc.want)
			}
		})
	}
}

func curvePEM(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return publicPEM(&key.PublicKey)
}

// shortPEM was made with: openssl genrsa 1024 | openssl rsa -pubout
const shortPEM = `-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDAvBzapopN3r9Mei88TxIMRGCM
SJ2pnm0D2zql9iobkJwSKbhJwHNhYv7tpeCeL4zPBVFyRbGVDMieVpU9d4WZpDsz
4ZinHgBXFAmxLC/5yHZmYzWeHHiEdVEs/eiLy/ZxeuXrJ/g4Msvl5Vkzodrlm+ws
K+Q9WGCzAPEMSUKPzwIDAQAB
-----END PUBLIC KEY-----`

func TestFormatDefaults(t *testing.T) {
	for format, want := range map[Format]string{
		OpenAI: "alipay-fin-1", Anthropic: "claude-haiku-4-5", NextBuilder: "sandbox-agent",
	} {
		cfg, err := Config{Format: format, Apps: map[Format][]App{NextBuilder: {agentApp()}}[format]}.withDefaults()
		if err != nil || cfg.Models[0] != want || len(cfg.Apps) != 1 {
			t.Errorf("%s: %v, %+v", format, err, cfg)
		}
	}
	bare := agentApp()
	bare.PublicKey = strings.Join(strings.Split(strings.TrimSpace(bare.PublicKey), "\n")[1:8], "")
	if _, err := New(Config{Format: NextBuilder, Apps: []App{bare}}); err != nil {
		t.Errorf("a key without its frame: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	cfg, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Mode != Sandbox || cfg.TokenLife != 30*time.Minute || cfg.RequestsPerSecond != 50 ||
		len(cfg.Models) != 3 || len(cfg.Apps) != 1 || cfg.Apps[0].ClientID != DemoClientID {
		t.Errorf("defaults %+v", cfg)
	}
	DemoKeys()[1][0] ^= 1
	if string(DemoKeys()[1]) != string(cfg.Apps[0].Keys[1]) {
		t.Error("DemoKeys hands out shared bytes")
	}
}

func TestPolicies(t *testing.T) {
	tests := map[string]struct {
		text string
		want string
	}{
		"english":            {"Please predict future income for me", "income-prediction"},
		"case and spaces":    {"PREDICT   my\n\tFuture Income!", "income-prediction"},
		"full width":         {"ｐｒｅｄｉｃｔ　ｆｕｔｕｒｅ　ｉｎｃｏｍｅ", "income-prediction"},
		"zero-width joiner":  {"pre\u200bdict fu\u00adture income", "income-prediction"},
		"chinese":            {"请帮我预测未来收入", "income-prediction"},
		"chinese with space": {"预测 我 的 未来 收入", "income-prediction"},
		"traditional":        {"請預測未來的收入", "income-prediction"},
		"noun first":         {"做一个未来收入预测", "income-prediction"},
		"past income":        {"explain my past income", ""},
		"future without it":  {"predict the future of banking", ""},
		"chinese, other":     {"分析我的消费", ""},
		"empty":              {"", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := violated(tc.text); got != tc.want {
				t.Errorf("policy %q, want %q", got, tc.want)
			}
		})
	}
}

func TestProductionBlocks(t *testing.T) {
	prompt := "Predict future income, please"
	chat := chatBody(prompt, "")
	system := []byte(`{"model":"alipay-fin-1","messages":[{"role":"system","content":[{"type":"text","text":"预测未来"},{"type":"text","text":"收入"}]},{"role":"user","content":"go"}]}`)
	embed := []byte(`{"model":"alipay-embed-1","input":["fine","` + prompt + `"]}`)
	tests := map[string]struct {
		path string
		body []byte
	}{
		"chat":          {pathChat, chat},
		"stream":        {pathChat, chatBody(prompt, streaming)},
		"system prompt": {pathChat, system},
		"embeddings":    {pathEmbeddings, embed},
	}
	production := newRig(t, Config{Mode: Production})
	lenient := newRig(t, Config{})
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got apiError
			production.call("POST", tc.path, tc.body, 403, &got)
			if got.Code != codeBlocked || !strings.Contains(got.Message, "policy income-prediction") {
				t.Errorf("got %+v", got)
			}
			lenient.call("POST", tc.path, tc.body, 200, nil)
		})
	}
	production.wantCode(codeBlocked, int64(len(tests)))
	if got := production.chat("what is a fund?"); !strings.Contains(got, "what is a fund?") {
		t.Errorf("production answers %q", got)
	}
}
