.code16
.globl _start
_start:                       # offset 0 of the last 64 KiB below 4 GiB
  cli
  lgdtl %cs:gdtr
  mov $0x11, %eax             # CR0: PE, ET
  mov %eax, %cr0
  ljmpl $8, $(0xf0000 + protected - _start)
.code32
protected:
  mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  movl $0x2003, 0x1000        # PML4 -> PDPT
  movl $0x3003, 0x2000        # PDPT -> PD
  mov $0x3000, %edi           # PD: eight pages of 2 MiB
  mov $0x83, %eax
  mov $8, %ecx
1: mov %eax, (%edi)
  movl $0, 4(%edi)
  add $0x200000, %eax
  add $8, %edi
  loop 1b
  mov $0x20, %eax             # CR4: PAE
  mov %eax, %cr4
  mov $0x1000, %eax
  mov %eax, %cr3
  mov $0xc0000080, %ecx       # EFER: LME
  rdmsr
  or $0x100, %eax
  wrmsr
  mov $0x80000011, %eax       # CR0: PG
  mov %eax, %cr0
  ljmpl $24, $(0xf0000 + long - _start)
.code64
long:
  mov $0x400000, %edi         # fill 8 MiB
  mov $0x800000, %ecx
  xor %eax, %eax
  rep stosb
  mov $10000000, %ecx         # and count
1: dec %ecx
  jnz 1b
  mov $0x21, %al              # leave with status 0x21 * 2 + 1
  out %al, $0xf4
2: hlt
  jmp 2b
.align 8
gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
gdtr: .word 31
  .long 0xf0000 + gdt - _start
