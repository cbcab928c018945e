package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func engineCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "engine",
		Short: "Build what training stands on",
		Args:  cobra.NoArgs, // "unknown command"
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var dir string
	build := &cobra.Command{
		Use:   "build [--torch DIR]",
		Short: "Compile the bridge to libtorch",
		Long: `Compile the bridge to libtorch, once per libtorch, into the user's cache folder.

It needs g++ and libtorch with its headers. On Debian:
  apt-get install -y --no-install-recommends libtorch-dev libopenblas0-pthread g++
Another libtorch, such as one for CUDA, is named by --torch: its folder holds
include and lib. train --device cuda wants one for CUDA, 2.1 or later: PyTorch's own from
pytorch.org, unpacked, or Debian 13's libtorch-cuda-dev. The one built last is used.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := buildTorch(c.Context(), dir, c.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), path)
			return err
		},
	}
	build.Flags().StringVar(&dir, "torch", "", "folder of a libtorch; empty means the system's")
	c.AddCommand(build)
	return c
}
