// The command ultrafast makes object detectors small and fast, and runs them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
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
	root := &cobra.Command{
		Use:           "ultrafast",
		Version:       version,
		Short:         "Make YOLOv5 detectors small and fast, and run them",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(infoCommand(), detectCommand(), valCommand(), trainCommand(), pruneCommand(), exportCommand(), demoCommand(), engineCommand())
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(stderr, "ultrafast: stopped: %s\n", strings.TrimSuffix(strings.TrimSuffix(err.Error(), context.Canceled.Error()), ": "))
		return 130
	}
	fmt.Fprintf(stderr, "ultrafast: %v\n", err)
	return 1
}
