package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// nodeDir holds the scripts that run Alipay's SDK for Node.
const nodeDir = "node"

// nodePackages installs the scripts' packages, as their lock file has them, unless they are there.
var nodePackages = sync.OnceValue(func() error {
	const need = "these tests run Alipay's SDK for Node: install nodejs (18.19 or newer) and npm, as .ci/run does"
	for _, command := range []string{"node", "npm"} {
		if _, err := exec.LookPath(command); err != nil {
			return errors.New(command + " is not installed; " + need)
		}
	}
	locked, err := os.Stat(filepath.Join(nodeDir, "package-lock.json"))
	if err != nil {
		return err
	}
	// npm writes this one last.
	installed, err := os.Stat(filepath.Join(nodeDir, "node_modules", ".package-lock.json"))
	if err == nil && !installed.ModTime().Before(locked.ModTime()) {
		return nil
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = nodeDir
	if out, err := npm.CombinedOutput(); err != nil {
		return errors.New("npm ci: " + err.Error() + "\n" + string(out))
	}
	return nil
})

// node is a script with its input, not yet started.
func node(t *testing.T, script string, input any) *exec.Cmd {
	t.Helper()
	if err := nodePackages(); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), "node", filepath.Join(nodeDir, script), string(encoded))
}

// runNode runs a script to its end and reads what it prints into output.
func runNode(t *testing.T, script string, input, output any) {
	t.Helper()
	cmd := node(t, script, input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(printed, output)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, printed, stderr.String())
	}
}

// startNode starts a script that serves until the test ends, and gives the first line that it prints.
func startNode(t *testing.T, script string, input any) string {
	t.Helper()
	cmd := node(t, script, input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // it may have been killed, as the test's context has ended
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	return strings.TrimSpace(line)
}
