// AMX for processors that lack it: a library which, once loaded, catches the signal that
// its instructions raise, does what they would have done and goes on behind them. Tiles
// belong to the thread, as in hardware. What hardware refuses (tiles that are not
// configured, rows that do not match, …) is handed on as the illegal instruction that it
// is, as is every other one.
//
// After the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2. It needs
// AVX-512 itself.
#define _GNU_SOURCE
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

enum { TILES = 8, ROWS = 16, WIDTH = 64 };

static __thread struct {
	uint8_t config[64]; // all zeros without a configuration
	uint8_t row[TILES][ROWS][WIDTH];
} state;

static struct sigaction before;

static int rows(int t) { return state.config[48 + t]; }
static int bytes(int t) { return state.config[16 + 2 * t]; } // of a row

// usable says whether tile t is configured.
static int usable(int t) { return t < TILES && rows(t) > 0; }

// An instruction is one with a VEX prefix of three bytes.
struct instruction {
	int length;
	int map, pp, v, code;
	int mod, reg, rm;
	uint8_t *at;    // its operand in memory
	int64_t stride; // the index of that, scaled
	int index;      // whether it has one
};

static int decode(const uint8_t *p, const greg_t *g, struct instruction *i)
{
	static const int registers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
	if (p[0] != 0xC4 || p[2] & 0x84) // W and L are clear
		return 0;
	i->map = p[1] & 31;
	i->pp = p[2] & 3;
	i->v = ~p[2] >> 3 & 15;
	i->code = p[3];
	i->mod = p[4] >> 6;
	i->reg = (p[4] >> 3 & 7) | (~p[1] >> 7 & 1) << 3;
	i->rm = p[4] & 7;
	i->length = 5;
	int extended = (~p[1] >> 5 & 1) << 3; // the fourth bit of the base
	if (i->mod == 3) {
		i->rm |= extended;
		return 1;
	}
	int base = i->rm;
	if (base == 4) {
		int index = (p[5] >> 3 & 7) | (~p[1] >> 6 & 1) << 3;
		if (index != 4)
			i->stride = (int64_t)g[registers[index]] << (p[5] >> 6);
		i->index = 1;
		base = p[5] & 7;
		i->length++;
	}
	if (i->mod == 0 && base == 5) // no base: not what we write
		return 0;
	int64_t displacement = 0;
	if (i->mod == 1) {
		displacement = (int8_t)p[i->length];
		i->length++;
	} else if (i->mod == 2) {
		int32_t d;
		memcpy(&d, p + i->length, 4);
		displacement = d;
		i->length += 4;
	}
	i->at = (uint8_t *)(g[registers[base | extended]] + displacement);
	return 1;
}

// configure is LDTILECFG.
static int configure(const uint8_t *c)
{
	for (int i = 2; i < 64; i++) {
		int reserved = i < 16 || i >= 32 && i < 48 || i >= 56 || i < 32 && i % 2; // widths have one byte
		if (reserved && c[i])
			return 0;
	}
	if (c[0] > 1 || c[1])
		return 0;
	for (int t = 0; t < TILES; t++)
		if (c[16 + 2 * t] > WIDTH || c[48 + t] > ROWS || !c[16 + 2 * t] != !c[48 + t])
			return 0;
	memset(&state, 0, sizeof state);
	if (c[0])
		memcpy(state.config, c, 64);
	return 1;
}

static int load(int t, const uint8_t *from, int64_t stride)
{
	if (!usable(t))
		return 0;
	memset(state.row[t], 0, sizeof state.row[t]);
	for (int r = 0; r < rows(t); r++)
		memcpy(state.row[t][r], from + r * stride, bytes(t));
	return 1;
}

static int store(uint8_t *to, int64_t stride, int t)
{
	if (!usable(t))
		return 0;
	for (int r = 0; r < rows(t); r++)
		memcpy(to + r * stride, state.row[t][r], bytes(t));
	return 1;
}

// products says whether c += x*y is possible.
static int products(int c, int x, int y)
{
	return usable(c) && usable(x) && usable(y) && c != x && c != y && x != y &&
		bytes(c) % 4 == 0 && bytes(x) % 4 == 0 && bytes(y) % 4 == 0 &&
		rows(c) == rows(x) && bytes(c) == bytes(y) && bytes(x) / 4 == rows(y);
}

// dot16 is TDPBF16PS: the products of the lower halves and of the upper halves are summed
// up apart, then both added to c.
static int dot16(int c, int x, int y)
{
	if (!products(c, x, y))
		return 0;
	_mm_setcsr(0x9FC0); // denormals are zero, both ways; the kernel brings the old one back
	__m512i upper = _mm512_set1_epi32(0xFFFF0000);
	__mmask16 columns = (1 << bytes(c) / 4) - 1;
	for (int m = 0; m < rows(c); m++) {
		__m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
		for (int k = 0; k < rows(y); k++) {
			int32_t pair;
			memcpy(&pair, state.row[x][m] + 4 * k, 4);
			__m512i a = _mm512_set1_epi32(pair), b = _mm512_loadu_si512(state.row[y][k]);
			sums[0] = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(a, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)), sums[0]);
			sums[1] = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(a, upper)), _mm512_castsi512_ps(_mm512_and_si512(b, upper)), sums[1]);
		}
		__m512 sum = _mm512_add_ps(_mm512_loadu_ps(state.row[c][m]), _mm512_add_ps(sums[0], sums[1]));
		_mm512_mask_storeu_ps(state.row[c][m], columns, sum);
	}
	return 1;
}

// dot8 is TDPBSSD and its kin.
static int dot8(int c, int x, int y, int xSigned, int ySigned)
{
	if (!products(c, x, y))
		return 0;
	for (int m = 0; m < rows(c); m++)
		for (int k = 0; k < rows(y); k++)
			for (int n = 0; n < bytes(c) / 4; n++) {
				uint32_t sum;
				memcpy(&sum, state.row[c][m] + 4 * n, 4);
				for (int i = 0; i < 4; i++) {
					uint8_t a = state.row[x][m][4 * k + i], b = state.row[y][k][4 * n + i];
					sum += (uint32_t)((xSigned ? (int8_t)a : a) * (ySigned ? (int8_t)b : b));
				}
				memcpy(state.row[c][m] + 4 * n, &sum, 4);
			}
	return 1;
}

// emulate runs the instruction at the program counter and reports whether it could.
static int emulate(greg_t *g)
{
	struct instruction i = {0};
	if (!decode((const uint8_t *)g[REG_RIP], g, &i) || i.map != 2)
		return 0;
	enum { none, p66, pF3, pF2 };
	int memory = i.mod != 3, done = 0;
	switch (i.code << 2 | i.pp) {
	case 0x49 << 2 | none:
		if (memory && i.reg == 0 && i.v == 0)
			done = configure(i.at);
		else if (!memory && i.reg == 0 && i.rm == 0 && i.v == 0) { // TILERELEASE
			memset(&state, 0, sizeof state);
			done = 1;
		}
		break;
	case 0x49 << 2 | p66: // STTILECFG
		if (memory && i.reg == 0 && i.v == 0) {
			memcpy(i.at, state.config, 64);
			done = 1;
		}
		break;
	case 0x49 << 2 | pF2: // TILEZERO
		if (!memory && i.rm == 0 && i.v == 0 && usable(i.reg)) {
			memset(state.row[i.reg], 0, sizeof state.row[i.reg]);
			done = 1;
		}
		break;
	case 0x4B << 2 | pF2:
		done = memory && i.index && i.v == 0 && load(i.reg, i.at, i.stride);
		break;
	case 0x4B << 2 | pF3:
		done = memory && i.index && i.v == 0 && store(i.at, i.stride, i.reg);
		break;
	case 0x5C << 2 | pF3:
		done = !memory && dot16(i.reg, i.rm, i.v);
		break;
	case 0x5E << 2 | none:
	case 0x5E << 2 | p66:
	case 0x5E << 2 | pF3:
	case 0x5E << 2 | pF2:
		done = !memory && dot8(i.reg, i.rm, i.v, i.pp >= pF3, i.pp == p66 || i.pp == pF2);
		break;
	}
	if (done)
		g[REG_RIP] += i.length;
	return done;
}

static void handle(int signal, siginfo_t *info, void *context)
{
	if (!emulate(((ucontext_t *)context)->uc_mcontext.gregs))
		before.sa_sigaction(signal, info, context);
}

// install is called by the loader. Go has its handler by then, on a stack of its own.
__attribute__((constructor)) static void install(void)
{
	struct sigaction a = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	sigfillset(&a.sa_mask);
	sigaction(SIGILL, &a, &before);
}
