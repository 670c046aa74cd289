package command

import (
	"os"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/suite"
)

// The bar grows to its end and goes away, and is on terminals alone.
func TestProgress(t *testing.T) {
	var out strings.Builder
	bar := progress{to: &out, of: 2}
	bar.step(suite.Fail)
	bar.step(suite.Pass)
	bar.end()
	half, whole := strings.Repeat("=", barWidth/2), strings.Repeat("=", barWidth)
	if want := "\r[" + half + strings.Repeat(" ", barWidth/2) + "] 1/2, 1 failed\r[" + whole + "] 2/2, 1 failed\r\x1b[K"; out.String() != want {
		t.Errorf("drawn: %q, want %q", out.String(), want)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if terminal(&out) != nil || terminal(null) != nil {
		t.Error("no terminal is one")
	}
}
