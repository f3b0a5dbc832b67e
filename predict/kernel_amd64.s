//go:build amd64 && !purego

#include "textflag.h"

// Only SSE2, which every amd64 has. The floating point operations are those of
// the Go versions in kernel.go, in their order.

DATA evenBytes<>+0(SB)/8, $0x00ff00ff00ff00ff
DATA evenBytes<>+8(SB)/8, $0x00ff00ff00ff00ff
GLOBL evenBytes<>(SB), RODATA|NOPTR, $16

#define ADD16(offset, even, odd) \
	MOVOU offset(BX), X8; \
	MOVO  X8, X9;         \
	PAND  X15, X8;        \
	PSRLW $8, X9;         \
	PADDW X8, even;       \
	PADDW X9, odd

// func sumRowsFast(rows, idf *byte, buckets *uint16, n int, lanes *[Dim]uint16) (squares uint64)
TEXT ·sumRowsFast(SB), NOSPLIT, $0-48
	MOVQ  rows+0(FP), SI
	MOVQ  idf+8(FP), DI
	MOVQ  buckets+16(FP), DX
	MOVQ  n+24(FP), CX
	MOVOU evenBytes<>(SB), X15
	PXOR  X0, X0
	PXOR  X1, X1
	PXOR  X2, X2
	PXOR  X3, X3
	PXOR  X4, X4
	PXOR  X5, X5
	PXOR  X6, X6
	PXOR  X7, X7
	XORQ  R11, R11
	TESTQ CX, CX
	JLE   done

row:
	MOVWLZX    (DX), AX
	MOVWLZX    24(DX), R8 // ahead
	MOVBLZX    (DI)(AX*1), R10
	SHLQ       $6, AX
	SHLQ       $6, R8
	PREFETCHT0 (SI)(R8*1)
	IMULQ      R10, R10
	ADDQ       R10, R11
	LEAQ       (SI)(AX*1), BX
	ADD16(0, X0, X1)
	ADD16(16, X2, X3)
	ADD16(32, X4, X5)
	ADD16(48, X6, X7)
	ADDQ       $2, DX
	DECQ       CX
	JNZ        row

done:
	MOVQ  lanes+32(FP), BX
	MOVOU X0, 0(BX)
	MOVOU X1, 16(BX)
	MOVOU X2, 32(BX)
	MOVOU X3, 48(BX)
	MOVOU X4, 64(BX)
	MOVOU X5, 80(BX)
	MOVOU X6, 96(BX)
	MOVOU X7, 112(BX)
	MOVQ  R11, squares+40(FP)
	RET

#define MULADD(row, sum) \
	MOVUPS (row)(R12*1), X9; \
	MULPS  X8, X9;           \
	ADDPS  X9, sum

#define MULADD1(row, sum) \
	MOVSS (row)(R12*1), X9; \
	MULSS X8, X9;           \
	ADDSS X9, sum

// FOLD leaves (s0+s1)+(s2+s3) in the lowest lane.
#define FOLD(sum) \
	MOVAPS  sum, X9;        \
	SHUFPS  $0xb1, X9, X9;  \
	ADDPS   X9, sum;        \
	MOVHLPS sum, X9;        \
	ADDSS   X9, sum

// func layerFast(w, in, out *float32, n, groups int)
TEXT ·layerFast(SB), NOSPLIT, $0-40
	MOVQ w+0(FP), SI
	MOVQ in+8(FP), DX
	MOVQ out+16(FP), DI
	MOVQ n+24(FP), CX
	MOVQ groups+32(FP), R13
	MOVQ CX, BX
	ANDQ $~3, BX
	SHLQ $2, BX             // bytes that go four at a time
	SHLQ $2, CX             // bytes of the input
	LEAQ 4(CX), R14         // bytes of a row

group:
	MOVQ  SI, R8
	LEAQ  (R8)(R14*1), R9
	LEAQ  (R9)(R14*1), R10
	LEAQ  (R10)(R14*1), R11
	LEAQ  (R11)(R14*1), SI
	XORPS X0, X0
	XORPS X1, X1
	XORPS X2, X2
	XORPS X3, X3
	XORQ  R12, R12
	CMPQ  R12, BX
	JGE   tail

four:
	MOVUPS (DX)(R12*1), X8
	MULADD(R8, X0)
	MULADD(R9, X1)
	MULADD(R10, X2)
	MULADD(R11, X3)
	ADDQ   $16, R12
	CMPQ   R12, BX
	JLT    four

tail:
	CMPQ  R12, CX
	JGE   bias
	MOVSS (DX)(R12*1), X8
	MULADD1(R8, X0)
	MULADD1(R9, X1)
	MULADD1(R10, X2)
	MULADD1(R11, X3)
	ADDQ  $4, R12
	JMP   tail

bias:
	FOLD(X0)
	FOLD(X1)
	FOLD(X2)
	FOLD(X3)
	ADDSS (R8)(CX*1), X0
	ADDSS (R9)(CX*1), X1
	ADDSS (R10)(CX*1), X2
	ADDSS (R11)(CX*1), X3
	MOVSS X0, 0(DI)
	MOVSS X1, 4(DI)
	MOVSS X2, 8(DI)
	MOVSS X3, 12(DI)
	ADDQ  $16, DI
	DECQ  R13
	JNZ   group
	RET

// func dotFast(a, b *float32, n int) float32
TEXT ·dotFast(SB), NOSPLIT, $0-28
	MOVQ  a+0(FP), DX
	MOVQ  b+8(FP), R8
	MOVQ  n+16(FP), CX
	MOVQ  CX, BX
	ANDQ  $~3, BX
	SHLQ  $2, BX
	SHLQ  $2, CX
	XORPS X0, X0
	XORQ  R12, R12
	CMPQ  R12, BX
	JGE   rest

quad:
	MOVUPS (DX)(R12*1), X8
	MULADD(R8, X0)
	ADDQ   $16, R12
	CMPQ   R12, BX
	JLT    quad

rest:
	CMPQ  R12, CX
	JGE   sum
	MOVSS (DX)(R12*1), X8
	MULADD1(R8, X0)
	ADDQ  $4, R12
	JMP   rest

sum:
	FOLD(X0)
	MOVSS X0, ret+24(FP)
	RET
