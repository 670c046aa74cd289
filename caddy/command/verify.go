package command

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/signer"
)

// errDiffers is what verify ends with when the signature does not match.
var errDiffers = errors.New("it does not verify")

func (c commands) verifyCaptured(cmd *cobra.Command, args []string) error {
	config, err := c.loadConfigured(cmd)
	if err != nil {
		return err
	}
	defer config.Close()
	p, err := config.signing(cmd, args[0])
	if err != nil {
		return err
	}
	v, err := readVerified(cmd)
	if err != nil {
		return err
	}
	matches, err := p.VerifyCaptured(v.message, v.header, v.isAnswer)
	switch {
	case errors.Is(err, signer.ErrNoCanonical):
		return fmt.Errorf("provider %s signs nothing: profile %s presents a key", p.Name, p.Profile.Name)
	case v.isAnswer && p.Scheme.Traits().IgnoresAnswers:
		return fmt.Errorf("provider %s: signature says nothing of answers; add an answer block to it", p.Name)
	case errors.Is(err, signer.ErrNoKeys):
		return fmt.Errorf("provider %s has no key to verify answers with; add the vendor's: public_key <version> <key>", p.Name)
	}
	out := cmd.OutOrStdout()
	for _, note := range v.notes {
		fmt.Fprintln(out, "note: "+c.Conceal(note))
	}
	switch {
	case err == nil && v.isAnswer && p.Scheme.Reflects(v.requestHeader, v.header):
		fmt.Fprintln(out, "the answer carries the signature of its own request, so it proves nothing")
		return errDiffers
	case err == nil:
		fmt.Fprintln(out, v.what+" verifies")
		return nil
	}
	fmt.Fprintf(out, "%s does not verify: %s\n", v.what, c.Conceal(signer.Reason(err)))
	for _, match := range matches {
		fmt.Fprintf(out, "it would if %s\n", c.Conceal(match))
	}
	if len(matches) == 0 {
		fmt.Fprintln(out, "none of the usual differences is the reason: compare what `caddy alipayai sign` prints with what the other side signs, and the keys")
	}
	return errDiffers
}

// verified is what verify looks at: a request, or the answer to it.
type verified struct {
	what                  string
	message               signer.Message
	header, requestHeader http.Header
	isAnswer              bool
	// notes say what of its file is not as it was on the wire.
	notes []string
}

// readVerified reads the files of --request and --answer.
func readVerified(cmd *cobra.Command) (v verified, err error) {
	file, _ := cmd.Flags().GetString("request") // the flags are there
	request, err := readCaptured("--request", file)
	if err != nil {
		return v, err
	}
	method, target, err := request.requestLine()
	if err != nil {
		return v, fmt.Errorf("--request: %w", err)
	}
	v = verified{
		what: "the request", message: signer.Message{Method: method, Target: target, Body: request.body},
		header: request.header, requestHeader: request.header, notes: request.notes,
	}
	answerFile, _ := cmd.Flags().GetString("answer")
	if answerFile == "" {
		return v, nil
	}
	answer, err := readCaptured("--answer", answerFile)
	if err != nil {
		return v, err
	}
	if !strings.HasPrefix(answer.first, "HTTP/") {
		return v, errors.New("--answer: does not begin with a line like HTTP/1.1 200 OK")
	}
	v.what, v.message.Body, v.header, v.notes, v.isAnswer = "the answer", answer.body, answer.header, answer.notes, true
	return v, nil
}
