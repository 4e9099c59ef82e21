package dev.parallax.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the command line does before any model is touched. */
class MainTest {
    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"--help", "demo --help", "plan --help", "run --help", "compare --help", "memory --help",
            "bench --help", "doctor --help", "zoo --help", "zoo list --help", "zoo fill --help", "test --help",
            "fuzz --help"})
    void helpIsEverywhere(String line) {
        Plx plx = Plx.run((Object[]) line.split(" "));
        assertEquals(0, plx.status(), plx::toString);
        assertTrue(plx.out().startsWith("Usage: plx"), plx::toString);
        assertEquals("", plx.err());
        assertFalse(plx.out().contains("\u001b"), "no colours where there is no terminal");
        assertTrue(plx.out().lines().allMatch(l -> l.length() <= 100), plx::toString);
    }

    @Test
    void helpListsEveryCommand() {
        String help = Plx.run("--help").out();
        for (String command : List.of("demo", "test", "fuzz", "doctor", "plan", "run", "compare", "memory", "bench", "zoo")) {
            assertTrue(help.contains("\n  " + command + " "), help);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', textBlock = """
            '';                                   a command is missing; there are demo, plan, run
            bogus;                                there is no command bogus; there are demo
            zoo;                                  a command is missing; there are
            zoo bogus;                            there is no command bogus; there are
            --bogus;                              Unknown option: '--bogus'; see plx --help
            run;                                  Missing required parameter: 'MODEL'; see plx run --help
            run m.onnx --bogus;                   Unknown option: '--bogus'; see plx run --help
            run m.onnx n.onnx;                    n.onnx
            run m.onnx --units halves;            --units halves is not one of whole, layers, branches, nodes, mixed
            run m.onnx --policy random;           --policy random is not one of sequential, paper, dataflow
            run m.onnx --seed x;                  --seed
            run m.onnx --threads -1;              --threads -1 is negative
            run m.onnx --runs 0;                  --runs 0 is too few
            run m.onnx --json /none/x.json;       there is no folder /none
            run m.onnx --json /;                  is a folder
            run m.onnx --output-dir /proc/none;   --output-dir /proc/none cannot be made
            compare m.onnx --units halves;        --units halves is not one of
            compare m.onnx --rtol -1;             --rtol -1.0 is no tolerance
            compare m.onnx --atol NaN;            --atol NaN is no tolerance
            compare m.onnx --runs -1;             --runs -1 is negative
            plan m.onnx --rule none;              --rule none is not one of paper, relaxed
            plan m.onnx --device none.json;       neither none, opencl nor gpu
            demo --threads -2;                    --threads -2 is negative
            doctor --json /none/x.json;           there is no folder /none
            test native;                          ./plx test native
            fuzz --minutes 3;                     ./plx fuzz --minutes 3
            """)
    void wrongUsageIsOneLine(String line, String message) {
        Plx plx = Plx.run(line.isEmpty() ? new Object[0] : (Object[]) line.split(" "));
        assertTrue(plx.isOneLineError(message), plx::toString);
        assertEquals("", plx.out());
    }

    @Test
    void verboseShowsTheStackTrace() {
        Plx plx = Plx.run("zoo", "list", "--from", folder, "--verbose");
        assertEquals(2, plx.status());
        assertTrue(plx.err().startsWith("plx: no model tables"), plx::toString);
        assertTrue(plx.err().contains("\tat dev.parallax.cli"), plx::toString);
        assertTrue(Plx.run("--verbose", "zoo", "list", "--from", folder).err().contains("\tat "));
    }
}
