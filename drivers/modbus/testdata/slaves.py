# Slaves 1 (inputs) and 3 (registers) for the live test, on the serial device or TCP port of the argument. A line on stdin sets
# a value: "address function number value". It says "ready" when it can be asked.
import sys
import threading

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartSerialServer, StartTcpServer
from pymodbus.transaction import ModbusRtuFramer


def slave():
    # Without zero_mode pymodbus 3.0 shifts all addresses by one.
    return ModbusSlaveContext(
        di=ModbusSequentialDataBlock(0, [0] * 8), ir=ModbusSequentialDataBlock(0, [0] * 8), zero_mode=True)


context = ModbusServerContext(slaves={1: slave(), 3: slave()}, single=False)


def commands():
    print("ready", flush=True)
    for line in sys.stdin:
        address, function, number, value = (int(w) for w in line.split())
        context[address].setValues(function, number, [value])


threading.Thread(target=commands, daemon=True).start()
if sys.argv[1].isdigit():
    StartTcpServer(context=context, address=("127.0.0.1", int(sys.argv[1])))
else:
    StartSerialServer(context=context, framer=ModbusRtuFramer, port=sys.argv[1], baudrate=9600, timeout=0.005)
