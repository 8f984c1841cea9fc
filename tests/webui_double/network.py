class NetworkOnDisk:
    def __init__(self, name, filename):
        self.name, self.filename = name, filename
        self.alias = name
