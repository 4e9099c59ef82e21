package dev.parallax;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.parallax.internal.bindings.Plx;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ElementTypeTest {
    @ParameterizedTest
    @EnumSource
    void codesAreThoseOfTheHeader(ElementType type) throws ReflectiveOperationException {
        assertEquals(Plx.class.getMethod("PLX_" + type.name()).invoke(null), type.code());
        assertSame(type, ElementType.ofCode(type.code()));
    }

    @Test
    void unknownCodesAreRefused() {
        for (int code : new int[] {-1, 23, Integer.MAX_VALUE}) {
            ParallaxException e = assertThrows(ParallaxException.class, () -> ElementType.ofCode(code));
            assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
        }
    }

    @Test
    void sizesRoundUpAndNeverOverflow() {
        assertEquals(12, ElementType.FLOAT32.byteSize(3));
        assertEquals(48, ElementType.COMPLEX128.byteSize(3));
        assertEquals(0, ElementType.INT4.byteSize(0));
        assertEquals(1, ElementType.INT4.byteSize(1));
        assertEquals(4, ElementType.UINT4.byteSize(7));
        assertEquals(1L << 62, ElementType.INT4.byteSize(Long.MAX_VALUE));
        assertThrows(ParallaxException.class, () -> ElementType.FLOAT32.byteSize(Long.MAX_VALUE / 2));
        assertThrows(ParallaxException.class, () -> ElementType.STRING.byteSize(1));
    }

    @ParameterizedTest
    @EnumSource
    void errorCodesAreThoseOfTheHeader(ErrorCode code) throws ReflectiveOperationException {
        assertEquals(Plx.class.getMethod("PLX_" + code.name()).invoke(null), code.number());
        assertSame(code, ErrorCode.of(code.number()));
    }

    @ParameterizedTest
    @EnumSource
    void unitsAreThoseOfTheHeader(Units units) throws ReflectiveOperationException {
        assertEquals(Plx.class.getMethod("PLX_UNITS_" + units.name()).invoke(null), units.ordinal());
    }

    @ParameterizedTest
    @EnumSource
    void rulesAreThoseOfTheHeader(Rule rule) throws ReflectiveOperationException {
        assertEquals(Plx.class.getMethod("PLX_RULE_" + rule.name()).invoke(null), rule.ordinal());
    }
}
