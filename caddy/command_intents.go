package alipaycaddy

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/intent"
)

// intentsCommand is `caddy alipayai intents`.
func intentsCommand() *cobra.Command {
	intents := &cobra.Command{Use: "intents", Short: "Tries what calls are taken to be about"}
	group(intents)
	test := &cobra.Command{
		Use:   "test <file>",
		Short: "Prints accuracy, recall and the confusion table of labelled texts",
		Long: `
Classifies labelled texts, and prints what they were taken for. The file has a text
a line, after its intent and a tab. Without --config the built-in examples are used;
with it, the option intents of that configuration.`,
		Args: cobra.ExactArgs(1),
		RunE: testIntents,
	}
	test.Flags().StringP("config", "c", "", "the configuration file; the built-in examples unless set")
	test.Flags().StringP("adapter", "a", "", "the config adapter of that file, if it is no Caddyfile")
	intents.AddCommand(test)
	return intents
}

func testIntents(cmd *cobra.Command, args []string) error {
	var recognised *intents
	if file, _ := cmd.Flags().GetString("config"); file != "" { // the flag is there
		config, err := loadConfigured(cmd)
		if err != nil {
			return err
		}
		defer config.close()
		recognised = config.app.intents
	} else {
		var err error
		if recognised, err = openIntents(new(acquired), nil, nil); err != nil {
			return err
		}
	}
	labelled, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer labelled.Close()
	texts, err := intent.ReadLabelled(labelled)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if e := recognised.embedded; e != nil {
		if err := e.centroids.Learn(cmd.Context(), e.embed(e.learn), e.examples); err != nil {
			return fmt.Errorf("embedding the examples: %w", err)
		}
	}
	report := intent.Evaluate(texts, func(text string) string {
		return recognised.guess(cmd.Context(), alipayai.AnonymousTenant, text).Intent
	})
	return report.Write(cmd.OutOrStdout())
}
