use super::{Assembler, Instruction, Reg};

fn instruction(opcode: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { opcode, registers, offset, immediate }
}

/// The encodings that clang 14 gives for the same instructions (`llvm-objdump -d`).
#[test]
fn instructions_are_encoded_as_a_compiler_does() {
    let mut asm = Assembler::default();
    asm.mov(Reg::R6, Reg::R1);
    asm.load_u32(Reg::R7, Reg::R6, 4);
    asm.store_u32(Reg::Frame, -16, Reg::R3);
    asm.mov_imm(Reg::R0, 2);
    asm.exit();
    let expected = [
        instruction(0xbf, 0x16, 0, 0),
        instruction(0x61, 0x67, 4, 0),
        instruction(0x63, 0x3a, -16, 0),
        instruction(0xb7, 0x00, 0, 2),
        instruction(0x95, 0x00, 0, 0),
    ];
    assert_eq!(asm.finish(), expected);
}

#[test]
fn jumps_count_from_the_next_instruction_and_a_map_takes_two_slots() {
    let mut asm = Assembler::default();
    let end = asm.label();
    asm.jump_if_eq(Reg::R0, 7, end);
    asm.load_map(Reg::R1, 5);
    asm.bind(end);
    asm.exit();
    let code = asm.finish();
    assert_eq!(code[0], instruction(0x15, 0x00, 2, 7));
    assert_eq!(code[1], instruction(0x18, 0x11, 0, 5));
    assert_eq!(code[2], instruction(0x00, 0x00, 0, 0));
    assert_eq!(code.len(), 4);
}

#[test]
#[should_panic(expected = "bound")]
fn a_jump_to_nowhere_is_refused() {
    let mut asm = Assembler::default();
    let nowhere = asm.label();
    asm.jump(nowhere);
    asm.finish();
}
