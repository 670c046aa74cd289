package command

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/intent"
)

// intentsCommand is `caddy alipayai intents`.
func (c commands) intentsCommand() *cobra.Command {
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
		RunE: c.testIntents,
	}
	test.Flags().StringP("config", "c", "", "the configuration file; the built-in examples unless set")
	test.Flags().StringP("adapter", "a", "", "the config adapter of that file, if it is no Caddyfile")
	intents.AddCommand(test)
	return intents
}

func (c commands) testIntents(cmd *cobra.Command, args []string) error {
	intentOf := func(text string) string { return c.Intent(cmd.Context(), text) }
	if file, _ := cmd.Flags().GetString("config"); file != "" { // the flag is there
		config, err := c.loadConfigured(cmd)
		if err != nil {
			return err
		}
		defer config.Close()
		if intentOf, err = config.Intents(cmd.Context()); err != nil {
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
	report := intent.Evaluate(texts, intentOf)
	return report.Write(cmd.OutOrStdout())
}
