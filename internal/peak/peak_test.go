package peak

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// TestLoops checks that the loops do what FLOPS counts: every sum is times.
func TestLoops(t *testing.T) {
	sums := map[string]float64{"AVX-512": 16 * 16, "AVX2": 12 * 8, "NEON": 24 * 4, "scalar": 8}
	for _, l := range loops() {
		for _, times := range []int{1, 7, 1 << 12} {
			if got := l.run(times); got != sums[l.name]*float64(times) {
				t.Errorf("%s: %d times make %v, want %v", l.name, times, got, sums[l.name]*float64(times))
			}
		}
	}
}

func TestFLOPS(t *testing.T) {
	flops := FLOPS(2, 10*time.Millisecond)
	t.Logf("%.1f GFLOP/s", flops/1e9)
	if !(flops > 0) {
		t.Error("nothing was done")
	}
}

func BenchmarkFLOPS(b *testing.B) {
	for _, threads := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprint(threads), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(FLOPS(threads, time.Second)/1e9, "GFLOP/s")
			}
		})
	}
}
