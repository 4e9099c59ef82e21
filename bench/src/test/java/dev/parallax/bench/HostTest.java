package dev.parallax.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HostTest {
    @TempDir
    Path root;

    private void write(String file, String text) throws IOException {
        Files.createDirectories(root.resolve(file).getParent());
        Files.writeString(root.resolve(file), text);
    }

    @Test
    void boardIsNamedByItsFirmware() throws IOException {
        write("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0");
        write("proc/cpuinfo", "processor\t: 0\nCPU part\t: 0xd0b\n");
        write("proc/meminfo", "MemTotal:        8244680 kB\n");
        write("proc/sys/kernel/osrelease", "6.12.25+rpt-rpi-2712\n");
        Host host = Host.of(root);
        assertEquals("Raspberry Pi 5 Model B Rev 1.0", host.cpu());
        assertEquals("6.12.25+rpt-rpi-2712", host.kernel());
        assertEquals(8244680L * 1024, host.memoryBytes());
        assertEquals(Runtime.getRuntime().availableProcessors(), host.cores());
    }

    @Test
    void otherMachinesByTheirProcessor() throws IOException {
        write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some(R) CPU E5 @ 2.20GHz\n");
        assertEquals("Some(R) CPU E5 @ 2.20GHz", Host.of(root).cpu());
    }

    @Test
    void whatIsNotThereIsNotGuessed() {
        Host host = Host.of(root);
        assertEquals("unknown CPU", host.cpu());
        assertEquals("", host.kernel());
        assertEquals(0, host.memoryBytes());
    }

    @Test
    void machineClassIsFitForAFileName() {
        assertEquals("aarch64-raspberry-pi-5-model-b-rev-1-0-4-cores",
                new Host("Raspberry Pi 5 Model B Rev 1.0", 4, "aarch64", "6", 1).machineClass());
        assertEquals("x86_64-some-cpu-e5-1-core",
                new Host("Some(R) CPU E5 @ 2.20GHz", 1, "x86_64", "6", 1).machineClass());
        assertTrue(Host.of(Path.of("/")).machineClass().matches("[a-z0-9_-]+"));
    }
}
