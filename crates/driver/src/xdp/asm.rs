//! An assembler for eBPF: as much of it as the filter needs (RFC 9669), so that a build needs
//! no clang and no kernel headers.
//!
//! One instruction is eight bytes:
//!
//! ```text
//!   opcode: 8   destination: 4   source: 4   offset: 16   immediate: 32
//! ```

/// One instruction, as bpf(2) takes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    opcode: u8,
    /// Destination in the low four bits, source in the high four.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// A register. `R1` to `R5` are lost over a call; `R6` to `R9` are kept; `FRAME` is the stack's
/// top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    Frame,
}

/// A place to jump to, named before it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label(usize);

/// A program being written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<Instruction>,
    /// Where each label is, once it is bound.
    places: Vec<Option<usize>>,
    /// Which instruction jumps to which label.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// A new label, to be bound later.
    pub(super) fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// The label means the next instruction.
    pub(super) fn bind(&mut self, label: Label) {
        assert!(self.places[label.0].is_none(), "a label is bound once");
        self.places[label.0] = Some(self.code.len());
    }

    /// The program, with all jumps resolved.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in &self.jumps {
            let to = self.places[label.0].expect("each label that is jumped to is bound");
            // An offset counts from the instruction after the jump.
            let distance = to as i64 - *at as i64 - 1;
            self.code[*at].offset = i16::try_from(distance).expect("programs here are short");
        }
        self.code
    }

    pub(super) fn mov(&mut self, to: Reg, from: Reg) {
        self.emit(0xbf, to, from, 0, 0);
    }

    pub(super) fn mov_imm(&mut self, to: Reg, value: i32) {
        self.emit(0xb7, to, Reg::R0, 0, value);
    }

    pub(super) fn add(&mut self, to: Reg, from: Reg) {
        self.emit(0x0f, to, from, 0, 0);
    }

    pub(super) fn add_imm(&mut self, to: Reg, value: i32) {
        self.emit(0x07, to, Reg::R0, 0, value);
    }

    pub(super) fn and_imm(&mut self, to: Reg, value: i32) {
        self.emit(0x57, to, Reg::R0, 0, value);
    }

    pub(super) fn shift_left_imm(&mut self, to: Reg, bits: i32) {
        self.emit(0x67, to, Reg::R0, 0, bits);
    }

    pub(super) fn shift_right_imm(&mut self, to: Reg, bits: i32) {
        self.emit(0x77, to, Reg::R0, 0, bits);
    }

    pub(super) fn shift_right(&mut self, to: Reg, bits: Reg) {
        self.emit(0x7f, to, bits, 0, 0);
    }

    /// The low 16 bits, read as big-endian; the rest becomes zero.
    pub(super) fn swap_from_big_endian_16(&mut self, reg: Reg) {
        self.emit(0xdc, reg, Reg::R0, 0, 16);
    }

    pub(super) fn load_u8(&mut self, to: Reg, base: Reg, offset: i16) {
        self.emit(0x71, to, base, offset, 0);
    }

    pub(super) fn load_u16(&mut self, to: Reg, base: Reg, offset: i16) {
        self.emit(0x69, to, base, offset, 0);
    }

    pub(super) fn load_u32(&mut self, to: Reg, base: Reg, offset: i16) {
        self.emit(0x61, to, base, offset, 0);
    }

    pub(super) fn store_u32(&mut self, base: Reg, offset: i16, from: Reg) {
        self.emit(0x63, base, from, offset, 0);
    }

    /// Adds a register to the 64 bits there, at once for all processors.
    pub(super) fn atomic_add_u64(&mut self, base: Reg, offset: i16, from: Reg) {
        self.emit(0xdb, base, from, offset, 0);
    }

    pub(super) fn store_u32_imm(&mut self, base: Reg, offset: i16, value: i32) {
        self.emit(0x62, base, Reg::R0, offset, value);
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.emit_jump(0x05, Reg::R0, Reg::R0, 0, to);
    }

    pub(super) fn jump_if_eq(&mut self, reg: Reg, value: i32, to: Label) {
        self.emit_jump(0x15, reg, Reg::R0, value, to);
    }

    pub(super) fn jump_if_ne(&mut self, reg: Reg, value: i32, to: Label) {
        self.emit_jump(0x55, reg, Reg::R0, value, to);
    }

    /// Unsigned.
    pub(super) fn jump_if_below(&mut self, reg: Reg, value: i32, to: Label) {
        self.emit_jump(0xa5, reg, Reg::R0, value, to);
    }

    /// Unsigned.
    pub(super) fn jump_if_above(&mut self, reg: Reg, than: Reg, to: Label) {
        self.emit_jump(0x2d, reg, than, 0, to);
    }

    /// The address of a map, which is named by a descriptor while the program is loaded.
    pub(super) fn load_map(&mut self, to: Reg, descriptor: i32) {
        // One instruction in two slots; source 1 says that the immediate is a map's descriptor.
        self.emit(0x18, to, Reg::R1, 0, descriptor);
        self.emit(0x00, Reg::R0, Reg::R0, 0, 0);
    }

    /// Calls one of the kernel's functions: arguments in `R1` and on, the answer in `R0`.
    pub(super) fn call(&mut self, function: i32) {
        self.emit(0x85, Reg::R0, Reg::R0, 0, function);
    }

    /// Ends the program with the answer in `R0`.
    pub(super) fn exit(&mut self) {
        self.emit(0x95, Reg::R0, Reg::R0, 0, 0);
    }

    fn emit_jump(&mut self, opcode: u8, reg: Reg, other: Reg, immediate: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.emit(opcode, reg, other, 0, immediate);
    }

    fn emit(&mut self, opcode: u8, to: Reg, from: Reg, offset: i16, immediate: i32) {
        let registers = to as u8 | (from as u8) << 4;
        self.code.push(Instruction { opcode, registers, offset, immediate });
    }
}

const _: () = assert!(size_of::<Instruction>() == 8);

#[cfg(test)]
mod tests;
