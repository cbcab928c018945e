// The command ultrafast makes object detectors small and fast, and runs them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is written into the files that this program makes.
const version = "0.1.0"

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run carries out one command line and returns the exit code: 0, 1 for an error (one
// line on stderr), 130 after Ctrl-C.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	root := &cobra.Command{
		Use:           "ultrafast",
		Version:       version,
		Short:         "Make YOLOv5 detectors small and fast, and run them",
		SilenceErrors: true,
		SilenceUsage:  true,

		DisableSuggestions:         true, // they take several lines
		SuggestionsMinimumDistance: 2,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(infoCommand(), modelsCommand(), detectCommand(), valCommand(), benchmarkCommand(), latencyCommand(), anchorsCommand(), trainCommand(), evolveCommand(), sensitivityCommand(), planCommand(), pruneCommand(), trimCommand(), compressCommand(), quantizeCommand(), averageCommand(), exportCommand(), doctorCommand(), convertCommand(), demoCommand(), engineCommand())
	root.SetGlobalNormalizationFunc(yolov5Flag)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if _, _, unknown := root.Find(args); unknown != nil {
		err = unknownVerb(root, args)
	}
	text, code := err.Error(), 1
	if ctx.Err() != nil {
		code = 130
		if errors.Is(err, context.Canceled) {
			text = strings.TrimSuffix(strings.TrimSuffix(text, context.Canceled.Error()), ": ")
		}
		text = strings.TrimSuffix("stopped: "+text, ": ")
	}
	complain(stderr, text)
	return code
}

// unknownVerb is the error for a command line whose first word is no verb.
func unknownVerb(root *cobra.Command, args []string) error {
	i := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
	like := ""
	if verbs := root.SuggestionsFor(args[i]); len(verbs) > 0 {
		like = "did you mean " + strings.Join(verbs, " or ") + "? "
	}
	return fmt.Errorf("there is no verb %q: %ssee ultrafast --help", args[i], like)
}

// complain prints an error as one line; line breaks come from names in files.
func complain(stderr io.Writer, text string) {
	fmt.Fprintf(stderr, "ultrafast: %s\n", lineBreaks.ReplaceAllString(strings.TrimSpace(text), " "))
}

var lineBreaks = regexp.MustCompile(`\s*[\r\n]\s*`)
