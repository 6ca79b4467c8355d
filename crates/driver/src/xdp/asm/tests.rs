use super::{Assembler, Instruction, Reg};

fn instruction(opcode: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { opcode, registers, offset, immediate }
}

/// The encodings that `llvm-mc -triple bpfel -show-encoding` (LLVM 14) gives for the same lines.
#[test]
fn instructions_are_encoded_as_a_compiler_does() {
    let mut asm = Assembler::default();
    let end = asm.label();
    asm.mov(Reg::R6, Reg::R1);
    asm.load_u32(Reg::R7, Reg::R6, 4);
    asm.store_u32(Reg::Frame, -16, Reg::R3);
    asm.mov_imm(Reg::R0, 2);
    asm.swap_from_big_endian_16(Reg::R9);
    asm.shift_right_imm(Reg::R1, 3);
    asm.shift_right(Reg::R0, Reg::R1);
    asm.and_imm(Reg::R3, 255);
    asm.load_u8(Reg::R0, Reg::R0, 0);
    asm.shift_left_imm(Reg::R3, 3);
    asm.call(51);
    asm.atomic_add_u64(Reg::R0, 0, Reg::R1);
    asm.jump_if_above(Reg::R5, Reg::R8, end);
    asm.jump_if_below(Reg::R3, 20, end);
    asm.bind(end);
    asm.exit();
    let expected = [
        instruction(0xbf, 0x16, 0, 0),
        instruction(0x61, 0x67, 4, 0),
        instruction(0x63, 0x3a, -16, 0),
        instruction(0xb7, 0x00, 0, 2),
        instruction(0xdc, 0x09, 0, 16),
        instruction(0x77, 0x01, 0, 3),
        instruction(0x7f, 0x10, 0, 0),
        instruction(0x57, 0x03, 0, 255),
        instruction(0x71, 0x00, 0, 0),
        instruction(0x67, 0x03, 0, 3),
        instruction(0x85, 0x00, 0, 51),
        instruction(0xdb, 0x10, 0, 0),
        instruction(0x2d, 0x85, 1, 0),
        instruction(0xa5, 0x03, 0, 20),
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
